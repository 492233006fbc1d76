"""Whether the newest records of the source topics can be used: what `driftline run` would make of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitor.adapters.findings import Finding
    from monitor.config.types import Config
    from monitor.ingest.decode_labels import LabelDecoder
    from monitor.ingest.decode_predictions import PredictionDecoder
    from monitor.ports import Log

NEWEST: Final = 200
"""Records looked at per partition."""
_REASONS: Final = 3


def findings(log: Log, config: Config) -> list[Finding]:
    """For each source topic how many of its newest records can be used, and why others cannot: an error where none can.

    Nothing of a topic that is not there, or that this user may not read: that is told by who looks at topics.
    """
    from monitor.adapters.findings import Finding, Level
    from monitor.daemon.shared import decoders, named_values
    from monitor.errors import NotAllowed, SchemasUnreachable
    from monitor.plan import plan_of

    of_predictions, of_labels = decoders(config, named_values(plan_of(config)))
    looked: list[tuple[str, str, PredictionDecoder | LabelDecoder]] = [
        ("predictions", config.streams.predictions.topic, of_predictions)
    ]
    if config.streams.labels is not None and of_labels is not None:
        looked.append(("labels", config.streams.labels.topic, of_labels))
    found: list[Finding] = []
    for stream, topic, decoder in looked:
        try:
            found += _of(log, stream, topic, decoder)
        except NotAllowed:
            continue
        except SchemasUnreachable as error:
            found.append(Finding(Level.ERROR, f"schemas of topic {topic}", str(error)))
    return found


def _of(log: Log, stream: str, topic: str, decoder: PredictionDecoder | LabelDecoder) -> list[Finding]:
    from monitor.adapters.findings import Finding, Level
    from monitor.cli.scan import Scan
    from monitor.events import Reason

    if log.topic(topic) is None:
        return []
    held = Scan.of(log, topic).ranges
    scan = Scan({where: (max(begin, end - NEWEST), end) for where, (begin, end) in held.items()})
    usable, reasons, sentences = 0, Counter[str](), dict[str, str]()
    for batch in scan.batches(log, keys=decoder.needs_keys, headers=decoder.needs_headers):
        decoder.ready(batch)
        columns = decoder.decode(batch)
        usable += len(columns)
        for each in columns.rejected:
            reasons[each.reason] += 1
            sentences.setdefault(each.reason, each.detail)
    refused = reasons.total()
    what = f"topic {topic}: newest records"
    if not refused:
        return [Finding(Level.OK, what, f"{usable:,} rows, all can be used")] if usable else []
    why = "; ".join(f"{n:,} {reason} ({sentences[reason]})" for reason, n in reasons.most_common(_REASONS))
    said = f"{refused:,} of {usable + refused:,} rows cannot be used: {why}"
    if set(reasons) == {Reason.UNKNOWN_MODEL}:  # a topic may hold models that somebody else watches
        return [
            Finding(Level.ADVICE, what, said, "List them under `models`, or have `unlisted_models`, if they count.")
        ]
    hint = f"Correct streams.{stream}, or who writes them: `run` counts them as rejected and goes on."
    return [Finding(Level.WARNING if usable else Level.ERROR, what, said, hint)]
