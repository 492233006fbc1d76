"""The beginning of a namespace: one record decides what its rows mean, whoever begins which partition.

Every partition's ledger begins with a genesis, and all of them carry one digest. So nobody begins a partition before the
first one has its genesis: of several that are offered there at once the first counts. Workers whose files listed other models
at that moment find theirs among those that came later, or went.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from msgspec import UNSET

from monitor.daemon.begun import begun, keep_document
from monitor.daemon.counted import Counted
from monitor.daemon.sources import Sources, refuse_another
from monitor.daemon.tail import follow_from_start
from monitor.daemon.writer import LedgerWriter, LostOwnership
from monitor.editions import Edition
from monitor.errors import LedgerError
from monitor.ledger.records import EDITION_FORMAT, FORMAT, Genesis, SourceTopic
from monitor.ports import Appender, Log

FIRST = 0
"""The partition whose genesis decides."""


def genesis_of(log: Log, sources: Sources, partition: int, config: str, edition: int) -> Genesis:
    """What the ledger of a partition is about, if it begins now. `config`: digest; `edition`: of its namespace."""
    starts = [log.begin_offsets(name)[partition] for name in sources.names]
    predictions, labels = sources.predictions, sources.labels
    named = Edition.of(edition)
    return Genesis(
        format=FORMAT if named is UNSET else EDITION_FORMAT,
        cluster_id=log.cluster_id(),
        partition=partition,
        predictions=SourceTopic(predictions.name, predictions.topic_id, predictions.partitions),
        labels=SourceTopic(labels.name, labels.topic_id, labels.partitions) if labels else None,
        prediction_start=starts[0],
        label_start=starts[1] if labels else 0,
        config=config,
        edition=named,
    )


def begin(log: Log, appender: Appender, sources: Sources, by: Counted) -> Genesis | None:
    """How the namespace began: with what `by` says if nobody has begun it yet. None where that is lost, which is refused by name
    when a partition is opened. Raises UnknownOutcome."""
    topics = by.config.topics()
    known = begun(log, topics)
    if known is not None or log.begin_offsets(topics.ledger)[FIRST] > 0:
        return known
    keep_document(log, appender, by.source)  # by it others are told what they differ in, and count its models
    writer = LedgerWriter(log, appender, follow_from_start(log, topics.ledger, FIRST), secrets.token_hex(8))
    with suppress(LostOwnership):  # trimmed meanwhile, so others have gone on long since
        writer.offer(genesis_of(log, sources, FIRST, by.plan.config_digest, by.plan.edition))
    return begun(log, topics)


def recognise(log: Log, namespace: str, sources: Sources, genesis: Genesis) -> str:
    """Raise LedgerError where the ledger of a partition is not about these topics; else what a message calls it."""
    where = f"the ledger of namespace {namespace!r}, partition {genesis.partition},"
    cluster = log.cluster_id()
    if genesis.cluster_id != cluster:
        raise LedgerError(
            f"{where} was begun on cluster {genesis.cluster_id}, this is cluster {cluster}",
            "Point the configuration at the cluster it belongs to, or choose another `namespace`.",
        )
    for then, now in ((genesis.predictions, sources.predictions), (genesis.labels, sources.labels)):
        if (then is None) != (now is None):
            raise LedgerError(
                f"{where} was begun with labels in one and none in the other", "Choose another `namespace`."
            )
        if then is not None and now is not None:
            refuse_another(where, then, now)
    return where
