"""The table of predictions waiting for labels, and what became of each of them.

A prediction is identified by (id, model, version); one label reaches every (model, version) of its id. Winners are
chosen by content, never by arrival: the label with the largest (at, canonical value), the prediction with the
smallest (at, content digest). Outcomes are counted where they happen, so that every record read is accounted
for by exactly one counter at every commit. Nothing is computed as a remainder.

The table is a cache of the source topics: it can be dropped and rebuilt from them, and a digest that does not
depend on order proves that the rebuilt one is the same. Expiry follows the other stream's finality clock;
identity is kept until the own stream's clock has passed as well. Memory has a stated limit and a stated
behaviour at that limit.
"""
