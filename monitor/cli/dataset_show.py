"""How dataset versions are printed: for people as tables, for programs as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.cli import show
from monitor.cli.show import note, print_json
from registry.cli.common import short, size

if TYPE_CHECKING:
    from monitor.cli.dataset_make import Again
    from pipelines.dataset.diff import Difference
    from pipelines.dataset.manifest import Manifest, PartitionSource
    from pipelines.dataset.shelf import Integrity, Version


def as_json(version: Version, **more: Any) -> None:
    """The manifest, with the digest and the names of the version."""
    print_json({
        "dataset": version.digest,
        "names": [name for name, _ in version.names],
        **more,
        "manifest": msgspec.to_builtins(version.manifest),
    })  # fmt: skip


def made(name: str, manifest: Manifest, new: bool) -> None:
    """What `create` says to people."""
    note(f"{name}: {_rows(manifest)} in {len(manifest.segments)} segments, {size(manifest.size_bytes)}")
    if not new:
        note("the same rows of the same ranges were kept before: it is that version")
    for stream, counts in (("predictions", manifest.excluded.predictions), ("labels", manifest.excluded.labels)):
        if counts:
            note(f"{stream} left out: {_counted(counts)}")


def table(version: Version) -> None:
    """Facts, columns and ranges."""
    manifest, out = version.manifest, show.console()
    facts = show.table(None, "", "")
    for name, value in _facts(version).items():
        facts.add_row(name, show.plain(value))
    out.print(facts)
    columns = show.table("columns", "name", "type")
    for field in manifest.schema:
        columns.add_row(show.plain(field.name), str(field.type))
    out.print(columns)
    ranges = show.table("read from", "partition", "predictions", "labels", "rows", right=("partition", "rows"))
    for one in manifest.source.partitions:
        rows = sum(segment.rows for segment in manifest.segments if segment.partition == one.partition)
        ranges.add_row(str(one.partition), *_ranges(one), f"{rows:,}")
    out.print(ranges)


def every(versions: Sequence[Version], output: str) -> None:
    """The list."""
    if output == "json":
        print_json({"datasets": [_summary(version) for version in versions]})
        return
    if not versions:
        note("there is no dataset yet; `driftline dataset create` makes one")
        return
    made = show.table(
        None, "name", "digest", "rows", "labelled", "from", "to", "size", "created", right=("rows", "labelled", "size")
    )
    for version in versions:
        manifest = version.manifest
        first, last = _times(manifest)
        made.add_row(
            show.plain(", ".join(name for name, _ in version.names) or "-"),
            short(version.digest),
            f"{manifest.rows:,}",
            show.share(1 - manifest.unlabelled_rows / manifest.rows),
            show.minute(first // 1000 * 1000),
            show.minute(last // 1000 * 1000),
            size(manifest.size_bytes),
            show.minute(version.names[0][1].created_ms // 60_000 * 60_000) if version.names else "-",
        )
    show.console().print(made)


def verified(
    version: Version,
    stored: Integrity,
    again: Again | None,
    difference: Difference | None,
    failure: Exception | None,
    output: str,
) -> None:
    """The verdict on what is stored and, where it was asked, on what the topics give."""
    if output == "json":
        print_json({
            "dataset": version.digest,
            "stored": {
                "whole": not stored.faults,
                "rows": stored.rows,
                "rows_digest": stored.rows_digest,
                "faults": stored.faults,
            },
            "source": None if again is None and failure is None else _source(again, difference, failure),
        })  # fmt: skip
        return
    verdicts = show.table(None, "", "verdict", "rows", "digest of the rows", right=("rows",))
    fine = "damaged" if stored.faults else "whole"
    verdicts.add_row("stored", fine, f"{stored.rows:,}", stored.rows_digest or "-")
    if again is not None:
        same = "the same, bit for bit" if again.same else "NOT THE SAME"
        verdicts.add_row("made again", same, f"{again.rows:,}", again.rows_digest)
    elif failure is not None:
        verdicts.add_row("made again", "could not be", "-", "-")
    show.console().print(verdicts)
    for fault in stored.faults:
        note(fault)
    if failure is not None:
        note(str(failure))
    if again is None and failure is None:
        note("not compared with the topics; -c FILE does that")
    if difference is not None:
        note(f"made again against stored: {_sentence(difference)}")


def difference(old: Version, new: Version, found: Difference, output: str) -> None:
    """What two versions differ in."""
    if output == "json":
        print_json({"old": old.digest, "new": new.digest, **_difference(found)})
        return
    made = show.table(show.plain(f"{old} → {new}"), "", "reason", "rows", right=("rows",))
    made.add_row("same", "", f"{found.same:,}")
    for what, counts in (("added", found.added), ("removed", found.removed), ("changed", found.changed)):
        for reason, count in sorted(counts.items()):
            made.add_row(what, str(reason).replace("_", " "), f"{count:,}")
    show.console().print(made)
    if found.fields:
        note(f"columns that only one of them has: {', '.join(found.fields)}")
    if found.rules:
        note(f"made with other rules: {', '.join(found.rules)}")
    if found.none:
        note("the rows are the same")


def _facts(version: Version) -> dict[str, str]:
    manifest, selection = version.manifest, version.manifest.selection
    first, last = _times(manifest)
    labels = manifest.source.labels
    facts = {
        "dataset": version.digest,
        "names": ", ".join(
            f"{n} ({show.minute(g.created_ms // 60_000 * 60_000)}, {g.created_by})" for n, g in version.names
        )
        or "none",
        "rows": _rows(manifest),
        "digest of the rows": manifest.rows_digest,
        "event times": f"{show.minute(first // 1000 * 1000)} to {show.minute(last // 1000 * 1000)} UTC",
        "asked for": _asked(version),
        "label cut-off": "none"
        if selection.label_cutoff_ms is None
        else f"{show.minute(selection.label_cutoff_ms)} UTC",
        "horizon": f"{manifest.horizon_ms / 3_600_000:g} h",
        "predictions": f"{manifest.records['predictions']:,} records of {manifest.source.predictions.name}",
        "left out": _counted(manifest.excluded.predictions) or "nothing",
        "ids": "kept" if selection.ids else "as hashes",
        "cluster": manifest.source.cluster,
        "size": f"{size(manifest.size_bytes)} in {len(manifest.segments)} segments",
    }
    if manifest.redacted:
        facts["redacted"] = f"{manifest.redacted.rows:,} rows taken out; it was {manifest.redacted.of}"
    if labels is not None:
        facts["labels"] = f"{manifest.records['labels']:,} records of {labels.name}"
        facts["labels left out"] = _counted(manifest.excluded.labels) or "nothing"
    return facts


def _asked(version: Version) -> str:
    selection = version.manifest.selection
    parts = []
    if selection.from_ms is not None:
        parts.append(f"from {show.minute(selection.from_ms)}")
    if selection.until_ms is not None:
        parts.append(f"until {show.minute(selection.until_ms)}")
    parts += [f"offsets {o.partition}:{o.start}-{o.end}" for o in selection.offsets or ()]
    if selection.models is not None:
        parts.append(f"models {', '.join(selection.models)}")
    return ", ".join(parts) or "everything"


def _source(again: Again | None, found: Difference | None, failure: Exception | None) -> dict[str, Any]:
    if again is None:
        return {"same": None, "why": str(failure)}
    document: dict[str, Any] = {"same": again.same, "rows": again.rows, "rows_digest": again.rows_digest}
    return document if found is None else {**document, "difference": _difference(found)}


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "same": found.same,
        "added": {str(k): v for k, v in found.added.items()},
        "removed": {str(k): v for k, v in found.removed.items()},
        "changed": {str(k): v for k, v in found.changed.items()},
        "fields": list(found.fields),
        "rules": list(found.rules),
    }


def _sentence(found: Difference) -> str:
    parts = [f"{found.same:,} rows the same"]
    for what, counts in (("added", found.added), ("removed", found.removed), ("changed", found.changed)):
        parts += [f"{n:,} {what} ({str(reason).replace('_', ' ')})" for reason, n in sorted(counts.items())]
    return ", ".join(parts)


def _summary(version: Version) -> dict[str, Any]:
    manifest = version.manifest
    first, last = _times(manifest)
    return {
        "dataset": version.digest,
        "names": [{"name": n, "created_by": g.created_by, "created_ms": g.created_ms} for n, g in version.names],
        "rows": manifest.rows,
        "unlabelled_rows": manifest.unlabelled_rows,
        "rows_digest": manifest.rows_digest,
        "first_ms": first,
        "last_ms": last,
        "size_bytes": manifest.size_bytes,
    }


def _times(manifest: Manifest) -> tuple[int, int]:
    segments = manifest.segments
    return min(s.first_ms for s in segments), max(s.last_ms for s in segments)


def _ranges(one: PartitionSource) -> tuple[str, str]:
    labels = "-" if one.labels is None else f"[{one.labels.start:,}, {one.labels.end:,})"
    return f"[{one.predictions.start:,}, {one.predictions.end:,})", labels


def _rows(manifest: Manifest) -> str:
    return f"{manifest.rows:,} rows, {manifest.unlabelled_rows:,} of them without a label"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(counts.items()))
