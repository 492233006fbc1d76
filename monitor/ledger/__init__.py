"""The commit rule: which records of a ledger partition count, and what they add up to.

A reader folds the partition in offset order. `genesis` pins the sources, `fence` makes an owner, `commit` counts
only if it comes from the current owner with the next sequence and continues both offset ranges, `gap` records
an operator's decision about offsets that retention took. Anything else is ignored and counted. Accepted ranges
therefore tile the sources exactly: loss, double counting and writers that were declared dead are excluded by
the reading rule, and anyone can audit that from the topic alone.

Here are the records, their codec with format versions, the fold and the audit. Appending, fencing and reopening
are the daemon's; no client library is known here.
"""
