"""What a backtest refuses: before anything is read what cannot be asked, and afterwards what nothing can be said about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.backtest.totals import Totals
    from monitor.config.types import Config
    from monitor.ports import Log

Rejected = Mapping[str, Mapping[str, int]]
"""How many records of each topic could not be used, by reason."""
_REASONS = 3


class NothingToTell(MonitorError):
    """There is no record to tell anything about, or none that can be used."""


def refuse_an_empty_range(source: Log, config: Config, starts: tuple[str, ...], ends: tuple[str, ...]) -> None:
    """Raise NothingToTell when no record of the source topics is in the range."""
    from monitor.cli.ranges import spans_of
    from monitor.daemon.sources import source_topics

    names = source_topics(source, config).names
    spans = spans_of(source, names, starts, ends)
    if any(start < end for ranges in spans.values() for start, end in ranges):
        return
    held = [f"{name!r} holds {_held(source, name)}" for name in names]
    raise NothingToTell(
        f"there is no record in the range: topic {'; '.join(held)}. --from and --until are times of the log, UTC, at which "
        "records were appended, not the event times in them; TOPIC=OFFSET gives a bound without a time."
    )


def _held(source: Log, topic: str) -> str:
    from monitor.cli.scan import Scan
    from monitor.cli.show import minute

    spans = [(begin, end) for begin, end in zip(source.begin_offsets(topic), source.end_offsets(topic), strict=True)]
    times = []
    for first in (True, False):
        ends = {
            (topic, p): (begin, begin + 1) if first else (end - 1, end)
            for p, (begin, end) in enumerate(spans)
            if begin < end
        }
        batches = Scan(ends).batches(source, keys=False, headers=False)
        times += [int(at_ms) for batch in batches for at_ms in batch.timestamps_ms]
    if not times:
        return "nothing"
    return f"{sum(end - begin for begin, end in spans):,} from {minute(min(times))} to {minute(max(times))}"


def refuse_what_cannot_be_used(totals: Totals, rejected: Rejected, topic: str) -> None:
    """Raise NothingToTell when there were predictions and every one was rejected; `rejected` by this process."""
    read, unusable = totals.records["predictions"], totals.outcomes["predictions"]["rejected"]
    if not read or unusable < read:
        return
    why = _commonest(rejected.get(topic, {}))
    raise NothingToTell(
        f"none of the {read:,} predictions can be used: {why or 'a new backtest says why'}. Look at streams.predictions in "
        "the configuration: where fields are found, the unit of times, names of models."
    )


def _commonest(reasons: Mapping[str, int]) -> str:
    """`missing 12, malformed 1`: the commonest reasons and how often each was met."""
    ranked = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    more = sum(count for _, count in ranked[_REASONS:])
    return ", ".join(
        [*(f"{reason} {count:,}" for reason, count in ranked[:_REASONS]), *([f"others {more:,}"] * (more > 0))]
    )


def why_rejected(
    config: Config, rejected: Rejected, outcomes: Mapping[str, Mapping[str, int]] | None = None
) -> list[str]:
    """Why records of each topic could not be used, a line for each. `outcomes` also count what an earlier process met, whose
    reasons are not known."""
    found = []
    for name, stream in (("predictions", config.streams.predictions), ("labels", config.streams.labels)):
        if stream is None:
            continue
        reasons = rejected.get(stream.topic, {})
        before = (outcomes or {}).get(name, {}).get("rejected", 0) - sum(reasons.values())
        why = [
            _commonest(reasons),
            f"{before:,} before it was resumed, whose reasons are not kept" if before > 0 else "",
        ]
        if told := ", ".join(filter(None, why)):
            found.append(f"rejected in {stream.topic}: {told}; streams.{name} says what is looked for where")
    return found


def say_what_was_rejected(runs: Sequence[tuple[Config, Rejected, Mapping[str, Mapping[str, int]] | None]]) -> None:
    """Say why records could not be used, each topic once unless two configurations say something else of it. Of as many that a
    run rejected before it was resumed, another run that knows the reasons speaks for both."""
    from monitor.cli.show import note

    known = [Counter({topic: sum(reasons.values()) for topic, reasons in rejected.items()}) for _, rejected, _ in runs]
    for line in dict.fromkeys(
        line
        for config, rejected, outcomes in runs
        for line in why_rejected(config, rejected, _unexplained(config, rejected, outcomes, known))
    ):
        note(line)


def _unexplained(
    config: Config, rejected: Rejected, outcomes: Mapping[str, Mapping[str, int]] | None, known: Sequence[Counter[str]]
) -> dict[str, Mapping[str, int]]:
    """The outcomes of the streams of which no run knows why just as many were rejected."""
    topics = {"predictions": config.streams.predictions.topic}
    if config.streams.labels is not None:
        topics["labels"] = config.streams.labels.topic
    return {
        name: counts
        for name, counts in (outcomes or {}).items()
        if not any(own[topics[name]] == counts.get("rejected", 0) for own in known) or rejected.get(topics[name])
    }


def outcomes_told(name: str, records: Mapping[str, int], outcomes: Mapping[str, Mapping[str, int]]) -> str:
    """What became of the records of a run, as a line for people; `name` says of which run, or is empty."""
    told = []
    for stream, counts in outcomes.items():
        parts = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
        told.append(f"{records[stream]:,} {stream} read{f' ({parts})' if parts else ''}")
    return f"{name}{'; '.join(told)}"


def refuse_versions(versions: tuple[str, str] | None, *, with_another: bool) -> None:
    """Raise UsageError for --versions that compare nothing, or beside --against."""
    if versions is None:
        return
    if with_another:
        raise click.UsageError("--versions and --against both say what is compared: give one of them")
    if versions[0] == versions[1]:
        raise click.UsageError(f"--versions {versions[0]} {versions[1]}: that is one version; give two")


def hint_at_against(files: Sequence[Path]) -> None:
    """Say that files were laid over each other where each of them is a configuration of its own."""
    import yaml

    from monitor.cli.show import note

    whole = [path for path in files if "streams" in (yaml.safe_load(path.read_bytes()) or {})]
    if len(whole) > 1:
        note(
            f"{whole[0]} and {whole[1]} both say streams: the later is laid over the earlier, as one configuration; "
            f"to compare the two use --against {whole[1]}"
        )
