"""From sampled records to a commented config: what `driftline init --from-topic` writes.

A pure function of the samples. It guesses, says on what each guess rests, and puts the most likely value where it
cannot decide; the result always loads. It never writes values of records into the config, except the words of classes,
segments, models and small categories, which the config needs, and limits of numbers, rounded outward.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.config.envelopes import Format
from monitor.config.infer_columns import Sample
from monitor.config.infer_guess import Guess, guess
from monitor.config.infer_write import write

__all__ = ["Guess", "Sample", "guess", "propose"]


def propose(
    predictions: Sequence[Sample],
    labels: Sequence[Sample] | None,
    *,
    predictions_topic: str,
    labels_topic: str | None = None,
    bootstrap_servers: str | None = None,
    namespace: str = "driftline",
    envelopes: tuple[Format | None, Format | None] = (None, None),
) -> str:
    """A commented config for these two topics; `loads` accepts it.

    `labels` None (or no `labels_topic`) makes a config without labels. Samples are best taken from the same stretch
    of time, so that ids meet: the join of the two samples is what most guesses rest on. `envelopes`: what the records of either
    topic are wrapped in; the samples are what is in them.
    """
    found = guess(predictions, None if labels_topic is None else labels)
    topics = predictions_topic, None if labels is None else labels_topic
    return write(found, *topics, bootstrap_servers, namespace, envelopes)
