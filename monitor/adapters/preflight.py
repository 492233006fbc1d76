"""A look at what a configuration connects to, before or beside a running daemon. Nothing here writes.

An ERROR means that Driftline would refuse to run or would count wrongly; a WARNING that data may be lost on a bad day;
ADVICE that something deserves a look; OK says what was found, so that a report shows what was checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from monitor.adapters.findings import Finding, Level
from monitor.adapters.placement import Placement, disagreeing, sample
from monitor.adapters.preflight_rights import KnowsRights, look_at_rights, look_at_rights_to_rekey
from monitor.config.durations import format_duration
from monitor.config.streams import LabelStream, PredictionStream
from monitor.config.types import Config
from monitor.errors import NotAllowed
from monitor.ingest.id_texts import IdTexts
from monitor.ports import LARGE_BYTES, Log, TopicInfo

REMEDY: Final = (
    "let `driftline rekey` copy the labels to where their predictions are: streams.labels.rekey: {from: TOPIC}, and a new name "
    "as streams.labels.topic."
)
_APART: Final = f"Labels will not meet their predictions. Key both topics by the id, or {REMEDY}"
IDS_THAT_TELL: Final = 20
"""Fewer ids may lie where a hash would put them by chance."""


def preflight(log: Log, config: Config) -> Sequence[Finding]:
    """Everything worth saying about the log and its topics, the cluster first.

    Takes a few seconds on Kafka. Raises LogUnreachable when no broker answers; every other trouble is a finding.
    """
    findings = [Finding(Level.OK, "cluster", log.cluster_id())]
    streams = {s.topic: s for s in (config.streams.predictions, config.streams.labels) if s is not None}
    looked = {name: _look_up(log, name) for name in streams}
    absent = [name for name, found in looked.items() if found is None]
    existing = [found for found in looked.values() if isinstance(found, TopicInfo)]
    for name, stream in streams.items():
        findings += [_missing(name, stream)] if name in absent else []
        findings += [each for info in existing if info.name == name for each in _source(info, config)]
        findings += _copied(log, stream)
    if len(existing) == len(streams):
        findings += _partitions(existing)
        findings += _samples(log, streams, existing)
    findings += _internal(log, config, existing[0].partitions if existing else None)
    if isinstance(log, KnowsRights):
        findings += look_at_rights(log, config, [name for name in streams if name not in absent])
        for stream in streams.values():
            findings += look_at_rights_to_rekey(log, config, stream)
    return findings


def _look_up(log: Log, name: str) -> TopicInfo | NotAllowed | None:
    """A topic; None for one that is not there; what the brokers said where this user may not see it, which a log that knows
    rights tells with all others that are missing (`look_at_rights`)."""
    try:
        return log.topic(name)
    except NotAllowed as refusal:
        if not isinstance(log, KnowsRights):
            raise
        return refusal


def _samples(
    log: Log, streams: Mapping[str, PredictionStream | LabelStream], existing: list[TopicInfo]
) -> Iterator[Finding]:
    """Where the records of all sources lie. Nothing where this user may see a topic and not read it: that is a right to be
    told."""
    try:
        samples = [sample(log, info.name, IdTexts(streams[info.name])) for info in existing]
    except NotAllowed:
        return
    yield from _placement(samples)


def _missing(name: str, stream: PredictionStream | LabelStream) -> Finding:
    hint = "Create it, or correct `streams`." if stream.rekey is None else "`driftline rekey` makes it: start it first."
    return Finding(Level.ERROR, f"topic {name}", "there is no such topic", hint)


def _copied(log: Log, stream: PredictionStream | LabelStream) -> Iterator[Finding]:
    """The topic that a re-keyed one is copied from."""
    if stream.rekey is None:
        return
    what = f"topic {stream.rekey.source}, of which {stream.topic} is a copy"
    info = _look_up(log, stream.rekey.source)
    if info is None:
        yield Finding(Level.ERROR, what, "there is no such topic", "Create it, or correct `rekey.from`.")
    elif isinstance(info, TopicInfo):  # else hidden: only `driftline rekey`, often another user, needs to see it
        yield Finding(Level.OK, what, f"{info.partitions} partitions")


def _source(info: TopicInfo, config: Config) -> Iterator[Finding]:
    what = f"topic {info.name}"
    policy = info.config.get("cleanup.policy", "")
    if "compact" in policy:
        yield Finding(
            Level.ERROR,
            f"{what}: cleanup.policy",
            policy,
            "Compaction removes records that a rebuild reads again; a source needs cleanup.policy=delete.",
        )
    elif policy:
        yield Finding(Level.OK, f"{what}: cleanup.policy", policy)
    yield from _retention(info, config)
    stamp = info.config.get("message.timestamp.type")
    if stamp is not None:
        clock = "the broker's clock" if stamp == "LogAppendTime" else "the producer's clock"
        yield Finding(Level.OK, f"{what}: message.timestamp.type", f"{stamp}, records carry {clock}")


def _retention(info: TopicInfo, config: Config) -> Iterator[Finding]:
    needed = config.time.horizon_ms + config.time.lateness_ms
    text = info.config.get("retention.ms")
    what = f"topic {info.name}: retention.ms"
    if text is None:
        yield Finding(Level.ADVICE, what, "unknown", f"It must be at least {format_duration(needed)}.")
    elif int(text) < 0:
        yield Finding(Level.OK, what, "records never expire")
    elif int(text) < needed:
        yield Finding(
            Level.ERROR,
            what,
            format_duration(int(text)),
            f"Rebuilding the join reads back over horizon + lateness = {format_duration(needed)}; "
            "raise the topic's retention above that, or lower `time.horizon`.",
        )
    else:
        yield Finding(Level.OK, what, f"{format_duration(int(text))}, {format_duration(needed)} needed")
    size = info.config.get("retention.bytes", "-1")
    if int(size) >= 0:
        yield Finding(
            Level.WARNING,
            f"topic {info.name}: retention.bytes",
            size,
            f"A busy day can push records out before {format_duration(needed)} have passed; set it to -1.",
        )


def _partitions(sources: list[TopicInfo]) -> Iterator[Finding]:
    value = ", ".join(f"{info.name} {info.partitions}" for info in sources)
    if len({info.partitions for info in sources}) == 1:
        yield Finding(Level.OK, "partitions", value)
        return
    yield Finding(
        Level.ERROR,
        "partitions",
        value,
        f"A label must be in the partition of its prediction: give both topics the same number of partitions, or {REMEDY}",
    )


def _placement(samples: list[Placement]) -> Iterator[Finding]:
    for each in samples:
        what = f"topic {each.topic}: keys"
        total = each.keyed + each.keyless
        if not total:
            yield Finding(Level.ADVICE, what, "no record to look at yet", "Look again when data has come.")
        elif each.keyless and each.partitions > 1 and len(samples) > 1:
            yield Finding(
                Level.WARNING,
                what,
                f"{each.keyless} records without a key, {each.keyed} keys",
                "Without a key a record goes to any partition and misses its counterpart; key both topics by the id.",
            )
        elif each.partitions > 1:
            hash_name = each.partitioner or "no hash that is known here"
            yield Finding(Level.OK, what, f"{each.keyed} keys, placed by {hash_name}")
    if len(samples) == 2 and samples[0].partitions == samples[1].partitions > 1:
        by_ids = _by_ids(*samples)
        if by_ids is not None:
            yield by_ids
        if (by_ids is None or by_ids.level is not Level.ERROR) and all(each.keyed for each in samples):
            yield _agreement(*samples)


def _by_ids(left: Placement, right: Placement) -> Finding | None:
    """What the ids themselves tell; None where that is nothing."""
    what = f"ids of {left.topic} and {right.topic}"
    shared, apart = disagreeing(left.ids, right.ids)
    names = (left.id_partitioner, right.id_partitioner)
    if apart:
        value = f"{apart} of {shared} ids seen in both lie in different partitions"
        return Finding(Level.ERROR, what, value, _APART)
    if (names[0] is None) != (names[1] is None) and min(len(left.ids), len(right.ids)) >= IDS_THAT_TELL and not shared:
        by_id, other = (left, right) if names[0] is not None else (right, left)
        value = f"{by_id.topic} is placed by its ids ({by_id.id_partitioner}), {other.topic} by something else"
        return Finding(Level.ERROR, what, value, _APART)
    if shared:
        return Finding(Level.OK, what, f"{shared} ids seen in both, all in one place")
    return (
        Finding(Level.OK, what, f"both placed by their ids ({names[0]})") if names[0] == names[1] is not None else None
    )


def _agreement(left: Placement, right: Placement) -> Finding:
    what = f"placement of {left.topic} and {right.topic}"
    shared, apart = disagreeing(left.places, right.places)
    names = (left.partitioner, right.partitioner)
    told = f"{left.topic} by {names[0] or 'an unknown hash'}, {right.topic} by {names[1] or 'an unknown hash'}"
    if apart or (None not in names and names[0] != names[1]):
        value = told + (f"; {apart} of {shared} keys seen in both lie in different partitions" if apart else "")
        return Finding(
            Level.ERROR,
            what,
            value,
            "Labels will not meet their predictions. Let all producers use one hash: Java uses murmur2; "
            "librdkafka clients need partitioner=murmur2_random.",
        )
    if None not in names or shared:
        return Finding(Level.OK, what, told + f"; {shared} keys seen in both, all in one place")
    return Finding(
        Level.ADVICE, what, told, "No key was seen in both topics; make sure that their producers use the same hash."
    )


def _internal(log: Log, config: Config, partitions: int | None) -> Iterator[Finding]:
    topics = config.topics()
    shapes = (  # name, as many partitions as the sources, compacted
        (topics.ledger, True, False),
        (topics.evals, False, False),
        (topics.tasks, True, None),
        (topics.windows, False, True),
        (topics.alerts, False, None),
        (topics.alerts_state, False, True),
        (topics.configs, False, True),
        (topics.checkpoints, False, True),
    )
    absent = []
    for name, like_sources, compacted in shapes:
        info = _look_up(log, name)
        if not isinstance(info, TopicInfo):
            absent += [name] if info is None else []
            continue
        bad = list(_internal_topic(info, partitions if like_sources else None, compacted, large=name == topics.ledger))
        yield from bad or [Finding(Level.OK, f"topic {name}", f"{info.partitions} partitions")]
    if isinstance(models := _look_up(log, topics.models), TopicInfo):  # made by the registry, where there is one
        yield from _internal_topic(models, None, True)
    if absent:
        yield Finding(Level.OK, "internal topics to be made", ", ".join(absent))


def _internal_topic(
    info: TopicInfo, partitions: int | None, compacted: bool | None, *, large: bool = False
) -> Iterator[Finding]:
    what = f"topic {info.name}"
    if partitions is not None and info.partitions != partitions:
        yield Finding(
            Level.ERROR,
            f"{what}: partitions",
            f"{info.partitions}, the sources have {partitions}",
            "The sources were changed after Driftline first ran; start again under another namespace.",
        )
    policy, retention = info.config.get("cleanup.policy"), info.config.get("retention.ms", "-1")
    if policy is not None and compacted is False and "compact" in policy:
        yield Finding(Level.ERROR, f"{what}: cleanup.policy", policy, "It must be delete: every record is a commit.")
    if policy is not None and compacted and "compact" not in policy:
        yield Finding(Level.WARNING, f"{what}: cleanup.policy", policy, "It should be compact, or it grows for ever.")
    if compacted is False and retention != "-1":
        yield Finding(Level.WARNING, f"{what}: retention.ms", retention, "It must keep every commit: set it to -1.")
    most = info.config.get("max.message.bytes")
    if large and most is not None and int(most) < LARGE_BYTES:
        yield Finding(
            Level.WARNING,
            f"{what}: max.message.bytes",
            most,
            f"A commit of many counts can be larger; set it to {LARGE_BYTES}.",
        )
    if info.config.get("unclean.leader.election.enable") == "true":
        yield Finding(
            Level.WARNING,
            f"{what}: unclean.leader.election.enable",
            "true",
            "An unclean election can cut off commits that were acknowledged; set it to false.",
        )
    if compacted is False and info.config.get("min.insync.replicas") == "1":
        yield Finding(
            Level.ADVICE,
            f"{what}: min.insync.replicas",
            "1",
            "Fine with one broker; with three, 2 keeps acknowledged commits when a broker is lost.",
        )
