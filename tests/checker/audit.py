"""Audits the ledger from the topic alone, with nothing of the engine: a second opinion on `driftline ledger audit`.

    python -m tests.checker.audit --bootstrap HOST:PORT --namespace a
    python -m tests.checker.audit --embedded DIR --namespace a

Walks each partition by the reading rule, then asks of what counted: do the offset ranges tile the sources from the
genesis on, without a hole and without an overlap? Does every record lie in an outcome (P2)? Are as many records read
as the source topics really hold in these ranges? Where the end of input is recorded: was everything read, and nothing
left waiting? Exits 1 when an answer is no.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.checker.sources import Raw, Source, open_source

STREAMS = ("predictions", "labels")
Range = tuple[int, int]


@dataclass(slots=True)
class Walk:
    """One partition of the ledger: what counted, what did not and why."""

    partition: int
    genesis: Mapping[str, Any] = field(default_factory=dict)
    commits: list[Mapping[str, Any]] = field(default_factory=list)
    lost: dict[str, list[Range]] = field(default_factory=lambda: {"predictions": [], "labels": []})
    ignored: Counter[str] = field(default_factory=Counter)
    epochs: list[int] = field(default_factory=list)
    chain: bytes = b""
    owner: str = ""

    @property
    def ended(self) -> bool:
        """Whether the end of input counted."""
        return bool(self.commits) and bool(self.commits[-1]["ended"])

    def next_offset(self, stream: str) -> int:
        """Where the ranges that counted end."""
        ends = [int(self.genesis[f"{stream.removesuffix('s')}_start"])]
        ends += [int(c[stream][1]) for c in self.commits[-1:]]
        ends += [end for _, end in self.lost[stream][-1:]]
        return max(ends)

    def why_not(self, record: Mapping[str, Any]) -> str | None:
        """Why a record does not count; None when it does."""
        kind = record["kind"]
        if kind == "genesis":
            return "a second genesis" if self.genesis else None
        if kind == "fence":
            return None if record["epoch"] > max(self.epochs, default=0) else "an epoch that was taken"
        if not self.genesis:
            return "before the genesis"
        if self.ended:
            return "after the end"
        if kind == "gap":
            return self._no_gap(record)
        return self._no_commit(record)

    def _no_gap(self, record: Mapping[str, Any]) -> str | None:
        start, end = record["lost"]
        if record["previous"] != self.chain:
            return "on another history"
        return None if self.next_offset(record["stream"]) == start < end else "another range"

    def _no_commit(self, record: Mapping[str, Any]) -> str | None:
        if (record["epoch"], record["owner"]) != (max(self.epochs, default=0), self.owner):
            return "not the owner"
        if record["sequence"] != len(self.commits) + 1:
            return "a commit again" if record["sequence"] <= len(self.commits) else "after commits that are missing"
        for stream in STREAMS:
            start, end = record[stream]
            if start != self.next_offset(stream) or end < start:
                return "another range"
        return None if record["previous"] == self.chain else "on another history"

    def take(self, raw: bytes) -> None:
        """The next record of the partition."""
        record = msgspec.msgpack.decode(raw)
        reason = self.why_not(record)
        if reason is not None:
            self.ignored[reason] += 1
            return
        self.chain = hashlib.blake2b(raw, digest_size=16).digest()
        match record["kind"]:
            case "genesis":
                self.genesis = record
            case "fence":
                self.epochs.append(record["epoch"])
                self.owner = record["owner"]
            case "gap":
                self.lost[record["stream"]].append(tuple(record["lost"]))
            case "commit":
                self.commits.append(record)


def walk(partition: int, values: Iterable[bytes | None]) -> Walk:
    """One partition, from its first record to its last."""
    walked = Walk(partition)
    for value in values:
        if value is not None:
            walked.take(value)
    return walked


def violations(walked: Walk) -> list[str]:
    """What does not hold of the records that counted, as sentences."""
    found: list[str] = []
    if not walked.genesis:
        return ["there is no genesis"] if walked.ignored else []
    found += [
        f"the log lost records: {walked.ignored[reason]} stand {reason}"
        for reason in ("on another history", "after commits that are missing", "before the genesis")
        if walked.ignored[reason]
    ]
    for stream in STREAMS:
        found += tiles(walked, stream)
    last: Mapping[str, Any] | None = None
    for commit in walked.commits:
        found += [f"commit {commit['sequence']}: {sentence}" for sentence in unaccounted(walked, commit, last)]
        last = commit
    if walked.ended:
        waiting = walked.commits[-1]["prediction_outcomes"]["pending"] + walked.commits[-1]["label_outcomes"]["waiting"]
        if waiting:
            found.append(f"the input ended and {waiting} rows still wait")
    return found


def tiles(walked: Walk, stream: str) -> list[str]:
    """Whether the ranges that counted, and those recorded as lost, cover one stream without hole and overlap."""
    ranges = sorted([*((c[stream][0], c[stream][1]) for c in walked.commits), *walked.lost[stream]])
    found, at = [], int(walked.genesis[f"{stream.removesuffix('s')}_start"])
    for start, end in ranges:
        if start != at:
            found.append(f"{stream} {min(at, start)} to {max(at, start)} are {'missing' if start > at else 'twice'}")
        at = max(at, end)
    return found


def unaccounted(walked: Walk, commit: Mapping[str, Any], last: Mapping[str, Any] | None) -> list[str]:
    """P2 at one commit, and totals that only grow."""
    found = []
    for i, stream in enumerate(STREAMS):
        outcomes, read = commit[f"{stream.removesuffix('s')}_outcomes"], commit["records"][i]
        rows = commit.get("rows", commit["records"])[i]
        if sum(outcomes.values()) != rows:
            found.append(f"{rows} {stream} were read, {sum(outcomes.values())} have an outcome")
        found += [f"{stream} {name} is {count}" for name, count in outcomes.items() if count < 0]
        grown = read - (last["records"][i] if last else 0)
        if not 0 <= grown <= commit[stream][1] - commit[stream][0]:
            found.append(f"{grown} {stream} more than before, of a range of {commit[stream][1] - commit[stream][0]}")
    return found


def against_sources(walked: Walk, logs: Mapping[str, Sequence[Raw]]) -> list[str]:
    """Whether as many records were read as the source topics hold in the ranges that counted."""
    found = []
    for i, stream in enumerate(STREAMS):
        if stream not in logs or not walked.commits:
            continue
        spans = [c[stream] for c in walked.commits]
        held = sum(spans[0][0] <= raw.offset < spans[-1][1] for raw in logs[stream])
        held -= sum(start <= raw.offset < end for raw in logs[stream] for start, end in walked.lost[stream])
        read = walked.commits[-1]["records"][i]
        if read != held:
            found.append(f"{read} {stream} were read, the topic holds {held} there")
        if walked.ended and logs[stream] and logs[stream][-1].offset >= walked.next_offset(stream):
            found.append(f"the input ended before offset {logs[stream][-1].offset} of the {stream}")
    return found


def audit(source: Source, namespace: str) -> tuple[list[Walk], list[str]]:
    """Every partition of a namespace's ledger, and what does not hold."""
    walks = [walk(p, (raw.value for raw in log)) for p, log in enumerate(source.read(f"{namespace}.ledger"))]
    genesis = next((w.genesis for w in walks if w.genesis), None)
    if genesis is None:
        return walks, ["no partition has a genesis"]
    logs = {stream: source.read(genesis[stream]["name"]) for stream in STREAMS if genesis[stream] is not None}
    found = []
    for w in walks:
        sentences = [*violations(w), *against_sources(w, {stream: log[w.partition] for stream, log in logs.items()})]
        found += [f"partition {w.partition}: {sentence}" for sentence in sentences]
    return walks, found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.checker.audit", description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap")
    parser.add_argument("--embedded", metavar="DIR")
    parser.add_argument("--namespace", required=True)
    arguments = parser.parse_args(argv)
    walks, found = audit(open_source(arguments.bootstrap, arguments.embedded), arguments.namespace)
    for w in walks:
        read = w.commits[-1]["records"] if w.commits else [0, 0]
        print(
            f"partition {w.partition}: {len(w.epochs)} openings, {len(w.commits)} commits, {read[0]} predictions, "
            f"{read[1]} labels, ignored {dict(w.ignored)}{', ended' if w.ended else ''}"
        )
    for line in found[:20]:
        print(line, file=sys.stderr)
    print("holds" if not found else f"{len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
