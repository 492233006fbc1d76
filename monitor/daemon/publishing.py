"""What an evaluation decided, put on its topics: same keys, same ids, same bytes, whoever publishes it and however often."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.alerts import cloudevents
from monitor.config.types import Topics
from monitor.evaluator import TickOutput
from monitor.ledger.fold import Chain
from monitor.ports import Appender, OutRecord
from monitor.windows import payload

EPOCH_HEADER = "driftline-epoch"
SEQUENCE_HEADER = "driftline-sequence"
_FLUSH_MS = 10_000


def publish(appender: Appender, topics: Topics, chain: Chain, outputs: Sequence[TickOutput]) -> None:
    """Windows, withdrawals of windows that vanished, and alerts; returns when all are acknowledged. `chain`: the evaluation that
    decided them, which headers name."""
    ours = [(EPOCH_HEADER, b"%d" % chain.epoch), (SEQUENCE_HEADER, b"%d" % chain.sequence)]
    for output in outputs:
        for view, value in zip(output.windows, output.payloads, strict=True):
            key = payload.topic_key(view.key, view.kind)
            appender.send(topics.windows, OutRecord(value, key, [*payload.headers(view), *ours]))
        for gone in output.vanished:
            appender.send(topics.windows, OutRecord(None, payload.topic_key(gone, output.kind), ours))
        for event in output.events:
            for topic, record in cloudevents.records(event, topics.alerts, topics.alerts_state, ours):
                appender.send(topic, record)
    appender.flush(_FLUSH_MS)
