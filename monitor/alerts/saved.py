"""The operational watch and the traffic of models, saved and restored between two ticks. Equal states give equal bytes."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from monitor.alerts.operational import OperationalWatch, _Feed
from monitor.alerts.traffic import TrafficWatch, _Traffic


class SavedFeed(msgspec.Struct, frozen=True):
    """A feed of the namespace: what each partition said last, and the changes that are not told yet."""

    reached: tuple[int, ...]
    last: tuple[bool, ...]
    waited_for: tuple[bool, ...]
    told_ms: int
    fired_ms: int
    stalled: tuple[int, ...]
    untold: tuple[tuple[int, tuple[tuple[int, bool], ...]], ...]


class SavedWatch(msgspec.Struct, frozen=True):
    """`OperationalWatch` after what it had to tell was told."""

    began: tuple[tuple[str, str, int], ...]
    told_ms: tuple[tuple[str, int], ...]
    unowned: tuple[int, ...]
    labels: SavedFeed
    predictions: SavedFeed


class SavedModel(msgspec.Struct, frozen=True):
    """The traffic of one model."""

    name: str
    first_ms: int
    last_ms: int
    seen: tuple[tuple[int, tuple[tuple[str, int], ...]], ...]
    judged: tuple[int, int, int] | None
    fired: tuple[tuple[str, int], ...]


def save_watch(watch: OperationalWatch) -> SavedWatch:
    """The watch as it is. Everything of single partitions must be told: an event that is not published is no state."""
    assert not watch._untold, "a checkpoint is made between two ticks"
    return SavedWatch(
        tuple((name, scope, at_ms) for (name, scope), at_ms in sorted(watch._began.items())),
        tuple(sorted(watch._told_ms.items())),
        tuple(sorted(watch.unowned)),
        _save_feed(watch._feed),
        _save_feed(watch._predictions),
    )


def restore_watch(watch: OperationalWatch, saved: SavedWatch) -> None:
    """Make a new watch what another was."""
    watch._began = {(name, scope): at_ms for name, scope, at_ms in saved.began}
    watch._told_ms = dict(saved.told_ms)
    watch.unowned = frozenset(saved.unowned)
    _restore_feed(watch._feed, saved.labels)
    _restore_feed(watch._predictions, saved.predictions)


def save_traffic(traffic: TrafficWatch) -> tuple[SavedModel, ...]:
    """What is known of every model that has a limit."""
    return tuple(
        SavedModel(
            name,
            one.first_ms,
            one.last_ms,
            tuple((start, tuple(sorted(versions.items()))) for start, versions in sorted(one.seen.items())),
            one.judged,
            tuple(sorted(one.fired.items())),
        )
        for name, one in sorted(traffic._models.items())
    )


def restore_traffic(traffic: TrafficWatch, saved: tuple[SavedModel, ...]) -> None:
    """Make a new one what another was; its limits are in use already."""
    for one in saved:
        seen = defaultdict[int, dict[str, int]](dict, {start: dict(versions) for start, versions in one.seen})
        traffic._models[one.name] = _Traffic(one.first_ms, one.last_ms, seen, one.judged, dict(one.fired))


def _save_feed(feed: _Feed) -> SavedFeed:
    return SavedFeed(
        tuple(feed._reached),
        tuple(feed._last),
        tuple(feed._waited_for),
        feed._told_ms,
        feed._fired_ms,
        tuple(sorted(feed._stalled)),
        tuple((partition, tuple(changes)) for partition, changes in sorted(feed._untold.items()) if changes),
    )


def _restore_feed(feed: _Feed, saved: SavedFeed) -> None:
    feed._reached, feed._last, feed._waited_for = list(saved.reached), list(saved.last), list(saved.waited_for)
    feed._told_ms, feed._fired_ms, feed._stalled = saved.told_ms, saved.fired_ms, frozenset(saved.stalled)
    for partition, changes in saved.untold:
        feed._untold[partition] = list(changes)
