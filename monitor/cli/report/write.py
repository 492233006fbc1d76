"""`--report`: the files, and the document they are made of."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.backtest.report import FORMAT, changes_of, run_of
from monitor.backtest.totals import FORMAT as TOTALS_FORMAT
from monitor.backtest.totals import Totals
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.plan import Plan

TOTALS = "totals.json"
"""Beside the windows and alerts of a run: what its ledger added up to."""
_SETTING = re.compile(r"kafka\.properties\.([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Told:
    """One run: its folder, its configuration, and what is said of it already."""

    folder: Path
    config: Config
    plan: Plan
    told: Mapping[str, Any]


def places(path: Path, second: bool) -> list[Path]:
    """The files of a report. Raises UsageError for a name that cannot be one of HTML."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"--report {str(path)!r}: the report is HTML; give a file that ends in .html")
    others = [path.with_suffix(".json"), path.with_suffix(".openmetrics")]
    return [path, *others, *([path.with_suffix(".second.openmetrics")] if second else [])]


def refuse_what_is_read(inputs: Iterable[Path], path: Path) -> None:
    """Raise UsageError where a file of the report would take the place of something that the same command reads or fills."""
    taken = {each.resolve() for each in inputs}
    for place in places(path, second=True):
        if place.resolve() in taken:
            raise click.UsageError(
                f"--report {str(path)!r} would write {str(place)!r}, which this command is given as well; name another one"
            )


def refuse_what_cannot_be_written(path: Path) -> None:
    """Raise MonitorError unless files can be made where the report goes; its folder is made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise MonitorError(
            f"--report {str(path)!r}: no file can be written into {str(path.parent)!r} ({error.strerror}). Choose another place."
        ) from error


def write(path: Path, report: Mapping[str, Any], runs: Sequence[Told], *, values: bool) -> list[Path]:
    """Write everything; the page last. Returns the files."""
    import orjson

    from monitor.adapters import openmetrics_file
    from monitor.cli.report import page

    files = places(path, len(runs) > 1)
    for of_another_run in set(places(path, second=True)) - set(files):
        of_another_run.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = orjson.dumps(_document(report, runs, values=values), option=orjson.OPT_INDENT_2) + b"\n"
    _put(files[1], document)
    for own, target in zip(runs, files[2:], strict=True):
        openmetrics_file.write(target, own.config.namespace, own.told["config"], _views(own.folder))
    # Made of what was written: the page can say nothing that is not in the JSON.
    html = page.render(orjson.loads(document), charts=page.has_plotly())
    _put(path, html.encode("utf-8", "replace"))
    return files


def _document(report: Mapping[str, Any], runs: Sequence[Told], *, values: bool) -> dict[str, Any]:
    from monitor.cli.version import release

    document = {**report, "format": FORMAT, "made_by": release()}
    document["command"] = without_secrets(report["command"])
    for name, own in zip(("first", "second"), runs, strict=False):
        document[name] = run_of(
            own.told, own.config, own.plan, windows_of(own.folder), totals_in(own.folder), values=values
        )
    if len(runs) > 1:
        document["changes"] = changes_of(runs[0].config, runs[1].config)
    return document


def without_secrets(command: Sequence[str]) -> list[str]:
    """A command line without the values of settings that are secrets."""
    from monitor.config.kafka import MASK, is_secret

    def shown(word: str) -> str:
        found = _SETTING.search(word)
        return f"{word[: found.start(2)]}{MASK}" if found and is_secret(found[1]) else word

    return [shown(word) for word in command]


def windows_of(folder: Path) -> Iterator[dict[str, Any]]:
    """The final windows of a run, in order of their start."""
    import orjson

    with (folder / "windows.jsonl").open("rb") as lines:
        yield from map(orjson.loads, lines)


def _views(folder: Path) -> Iterator[Any]:
    from monitor.windows import payload

    with (folder / "windows.jsonl").open("rb") as lines:
        yield from map(payload.parse, lines)


def totals_in(folder: Path) -> Totals | None:
    """What the ledger of a run added up to; None where it was not kept. Raises MonitorError for a newer format
    and for what is no totals."""
    import msgspec

    path = folder / TOTALS
    if not path.exists():
        return None
    try:
        told = msgspec.json.decode(path.read_bytes())
        if told["format"] > TOTALS_FORMAT:
            raise MonitorError(
                f"{path}: its format is {told['format']}, this version of Driftline reads up to {TOTALS_FORMAT}. Use the "
                "version that wrote it."
            )
        return msgspec.convert(told, Totals)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        raise MonitorError(f"{path} is damaged: {error}. Begin again in a new directory.") from error


def put_totals(folder: Path, totals: Totals) -> None:
    """Keep what a ledger adds up to."""
    import msgspec

    _put(folder / TOTALS, msgspec.json.format(msgspec.json.encode(totals)) + b"\n")


def _put(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(data)
    unfinished.rename(path)
