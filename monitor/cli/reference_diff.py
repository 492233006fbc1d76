"""The command `driftline reference diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import output_option

if TYPE_CHECKING:
    from monitor.drift.profile_diff import FeatureDiff, PairDiff
    from monitor.drift.reference import Reference


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("new", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@output_option
def command(old: Path, new: Path, output: str) -> None:
    """Tell how two profiles differ: features that came or went, rows, missing values, and how far distributions moved at least.

    Bins differ from one profile to the next, so a distance is a lower bound: of numbers the largest difference of the shares up
    to some value (KS), of categories the largest change of the share of one that either names. Of pairs (drift.pairs) it is told
    how far apart the ways are in which their features go together, as `dependence:A~B` of a window would be.

    JSON: {"old", "new": {"model", "rows", "digest"}, "features": [{"feature", "only", "types", "rows", "missing", "distance",
    "moved"}], "pairs": [{"pair", "only", "rows", "distance"}]}; what does not apply is null.

    \b
    Examples:
      driftline reference diff fraud.january.json fraud.february.json
      driftline reference diff old.json new.json -o json | jq '.features[] | select(.distance > 0.1).feature'
    """
    from dataclasses import asdict

    from monitor.cli.show import print_json
    from monitor.drift.profile_diff import diff, diff_pairs

    before, after = _read(old), _read(new)
    found, pairs = diff(before, after), diff_pairs(before, after)
    if output == "json":
        told = {"features": [asdict(one) for one in found], "pairs": [asdict(one) for one in pairs]}
        print_json({"old": _said(before), "new": _said(after), **told})
    else:
        _print(before, after, found, pairs)


def _read(file: Path) -> Reference:
    from monitor.drift.document import loads
    from monitor.errors import ReferenceProfileError

    try:
        return loads(file.read_bytes())
    except ReferenceProfileError as error:
        raise ReferenceProfileError(f"{str(file)!r}: {error}") from error


def _said(reference: Reference) -> dict[str, Any]:
    return {"model": reference.model, "rows": reference.rows, "digest": reference.digest}


def _print(old: Reference, new: Reference, found: list[FeatureDiff], pairs: list[PairDiff]) -> None:
    from monitor.cli import show

    if old.digest == new.digest:
        click.echo(f"the same profile: {old.digest}")
        return
    title = f"{old.model}, {old.rows:,} rows -> {new.model}, {new.rows:,} rows"
    made = show.table(
        show.plain(title), "feature", "values", "missing", "apart at least", "most at", right=("apart at least",)
    )
    for one in found:
        if one.only is not None:
            made.add_row(show.plain(one.feature), f"only in the {one.only} profile", "", "", "")
            continue
        assert one.types is not None
        assert one.rows is not None
        assert one.missing is not None
        values = f"{one.rows[0]:,} -> {one.rows[1]:,}"
        if one.types[0] != one.types[1]:
            values += f", {one.types[0]} -> {one.types[1]}"
        missing = " -> ".join(show.share(share) for share in one.missing)
        apart = "" if one.distance is None else f"{one.distance:.3f}"
        made.add_row(show.plain(one.feature), values, missing, apart, show.plain(one.moved or ""))
    show.console().print(made)
    for pair in pairs:
        if pair.only is not None:
            told = f"only in the {pair.only} profile"
        elif pair.distance is None:
            told = "cannot be compared: its groups are of other categories, or no row has both values"
        else:
            told = f"go together otherwise by {pair.distance:.3f} (dependence)"
        click.echo(f"pair {show.plain(pair.pair)}: {told}")
    click.echo(f"{old.digest} -> {new.digest}")
