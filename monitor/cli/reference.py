"""The command `driftline reference`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, need_one_of
from monitor.cli.reference_diff import command as diff
from monitor.cli.show import iso_ms

if TYPE_CHECKING:
    from monitor.cli.reference_rows import Rows
    from monitor.config.types import Config
    from monitor.drift.reference import FeatureProfile, Reference

_SHOWN = 6


@click.group("reference")
def command() -> None:
    """Build, show or compare a reference profile: what a model's inputs and scores looked like when they were as they should be.

    \b
    Examples:
      driftline reference build -c driftline.yaml --from 2013-01-01 --to 2013-01-10 -o fraud.reference.json
      driftline reference show fraud.reference.json
      driftline reference diff fraud.january.json fraud.february.json
    """


@command.command("build")
@config_options
@embedded_option
@click.option("--model", help="Which model; may be left out when the configuration lists one.")
@click.option(
    "--from",
    "from_ms",
    type=iso_ms,
    metavar="ISO",
    help="Predictions made at or after this time (event time), with --to.",
)
@click.option(
    "--to",
    "to_ms",
    type=iso_ms,
    metavar="ISO",
    help="And before this one, with --from. With --file either may be left out.",
)
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="The first N predictions of the topic.")
@click.option(
    "--file",
    "data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON lines, plain or .gz, instead of the topic; --from and --to may narrow them.",
)
@click.option("--key", "key_field", default="id", show_default=True, help="With --file: the field that is the key.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Where to write the profile; - for standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file.")
def build(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    model: str | None,
    from_ms: int | None,
    to_ms: int | None,
    first: int | None,
    data: Path | None,
    key_field: str,
    output: Path,
    force: bool,
) -> None:
    """Build the profile of a model from predictions that were as they should be, and write it to a file.

    Choose them with --from and --to, with --file, or, for want of anything better, with --first: then the profile is
    marked provisional. Records are read as the configuration says; what the daemon would reject is left out, what
    was sent twice counts once, what was withdrawn does not count. The file holds bins and counts, never rows.

    \b
    Examples:
      driftline reference build -c driftline.yaml --from 2013-01-01 --to 2013-01-10 -o fraud.reference.json
      driftline reference build -c driftline.yaml --model fraud --first 20000 -o fraud.reference.json
      driftline reference build -c driftline.yaml --file last-month.jsonl.gz -o fraud.reference.json
    """
    from monitor.adapters.schema_registry import with_schemas
    from monitor.cli.reference_rows import rows_of_file, rows_of_topic
    from monitor.cli.show import note
    from monitor.config import load
    from monitor.drift.reference import DataFile, FirstRows, Origin, TopicRange

    if sum((first is not None, data is not None or from_ms is not None or to_ms is not None)) != 1:
        raise click.UsageError("say which predictions: --from ISO --to ISO, or --first N, or --file FILE")
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise click.UsageError("--to is not after --from: no prediction can be between them")
    if data is None and first is None and (from_ms is None or to_ms is None):
        raise click.UsageError(_half_a_range(from_ms, to_ms))
    if str(output) != "-" and output.exists() and not force:
        raise click.UsageError(f"{str(output)!r} exists; --force replaces it")
    config = with_schemas(load(list(files), list(overrides), environ=dict(os.environ), require_references=False))
    name = _model(config, model)
    origin: Origin
    if data is not None:
        rows, digest = rows_of_file(config, name, data, key_field, from_ms, to_ms)
        origin = DataFile(data.name, f"sha256:{digest}")
    else:
        rows = rows_of_topic(config, embedded, name, from_ms, to_ms, first)
        topic = config.streams.predictions.topic
        origin = FirstRows(topic) if first is not None else TopicRange(topic, rows.ranges)
    reference = _reference(config, name, rows, origin, first is not None)
    _write(output, reference.dumps())
    _say(config, name, rows, reference, output)
    if first is not None and reference.rows < first:
        note(f"the topic holds only {reference.rows:,} of the {first:,} predictions asked for")


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o",
    "--output",
    "--format",
    "output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="What to print.",
)
def show_reference(file: Path, output: str) -> None:
    """Print a profile: rows, bins, missing rates, and which shifts it is too small to resolve.

    JSON is the profile's document with `digest` and `limits` (sentences) added.

    \b
    Examples:
      driftline reference show fraud.reference.json
      driftline reference show fraud.reference.json -o json | jq .digest
    """
    import orjson

    from monitor.cli.show import note, print_json
    from monitor.drift.document import loads
    from monitor.errors import ReferenceProfileError

    try:
        reference = loads(file.read_bytes())
    except ReferenceProfileError as error:
        raise ReferenceProfileError(f"{str(file)!r}: {error}") from error
    limits = reference.limits()
    if output == "json":
        document: dict[str, Any] = orjson.loads(reference.dumps())
        print_json({**document, "digest": reference.digest, "limits": limits})
        return
    _table(reference)
    for sentence in limits:
        note(sentence)


def _half_a_range(from_ms: int | None, to_ms: int | None) -> str:
    """What is missing of a range of the topic. The profile says which range it is of, so both ends have to be said."""
    given, missing, end = ("--to", "--from", "begins") if from_ms is None else ("--from", "--to", "ends")
    known_ms = to_ms if from_ms is None else from_ms
    assert known_ms is not None
    at = datetime.fromtimestamp(known_ms / 1000, UTC)
    example = at + (timedelta(days=7) if from_ms is not None else timedelta(days=-7))
    return (
        f"{given} {at:%Y-%m-%dT%H:%MZ} is one end of a range of event time; say where it {end} as well, for instance "
        f"{missing} {example:%Y-%m-%dT%H:%MZ} for a week. For the first predictions there are, whenever they were made, "
        "use --first N instead."
    )


def _model(config: Config, name: str | None) -> str:
    """The model meant. Raises UsageError when that is not clear, or it is none of the configuration's."""
    listed = [model.name for model in config.models]
    if name is None:
        if len(listed) == 1:
            return listed[0]
        raise click.UsageError(
            f"the configuration lists {len(listed)} models ({', '.join(listed)}): --model says which"
        )
    if config.model(name) is None:
        need_one_of("model", name, listed)
    return name


def _reference(config: Config, model: str, rows: Rows, origin: Any, provisional: bool) -> Reference:
    from monitor.cli.check_references import FINEST
    from monitor.drift.reference import LEAST_ROWS, build_reference, too_few
    from monitor.errors import ReferenceProfileError

    if not len(rows):
        others = ", ".join(f"{name} ({count:,})" for name, count in rows.models.most_common(5)) or "none"
        raise ReferenceProfileError(
            f"no prediction of model {model!r} was found there: {rows.read:,} records read, {rows.rejected:,} rejected; "
            f"models in the range: {others}. Choose a range that has some."
        )
    if len(rows) < LEAST_ROWS:
        raise ReferenceProfileError(
            f"a reference of {model!r} out of these {rows.read:,} records {too_few(len(rows), FINEST)}. "
            "Choose a longer range, or a larger --first."
        )
    known = config.model(model)
    assert known is not None, "looked up before"
    pairs = [pair for pair in config.drift.pairs if set(pair) <= set(known.features)]
    columns = rows.columns(known.features)
    return build_reference(model, columns, rows.score(), origin, provisional=provisional, pairs=pairs)


def _write(output: Path, text: str) -> None:
    """The whole file or nothing: a half-written profile would be refused at the next start."""
    from monitor.errors import MonitorError

    if str(output) == "-":
        click.echo(text, nl=False)
        return
    beside = output.with_name(f".{output.name}.new")
    try:
        beside.write_text(text, encoding="ascii")
        beside.replace(output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise MonitorError(f"the profile cannot be written to {str(output)!r}: {error.strerror}") from error


def _say(config: Config, model: str, rows: Rows, reference: Reference, output: Path) -> None:
    from monitor.cli.check_references import FINEST
    from monitor.cli.show import note
    from monitor.drift.reference import too_few

    left_out = {
        "rejected": rows.rejected,
        "of other models": sum(rows.models.values()) - rows.models[model],
        "duplicates": rows.duplicates,
        "withdrawn": rows.withdrawn,
    }
    without = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
    note(f"{reference.rows:,} predictions of {model!r}" + (f"; left out: {without}" if without else ""))
    if reference.provisional:
        note("provisional: nobody said that these predictions were good. Build it again from a range you trust.")
    finest = config.budget.materiality.features if config.budget is not None else 0.0
    if sentence := too_few(reference.rows, finest or FINEST):
        note(f"the reference {sentence}")
    for sentence in reference.limits():
        note(sentence)
    for name, count in rows.faults.items():
        note(f"{name}: {count:,} values in the records read are of the wrong type; they count as missing or invalid")
    note(f"digest {reference.digest}")
    listed = any(one.name == model for one in config.models)
    known = next((one for one in config.models if one.name == model), config.unlisted_models)
    if str(output) != "-" and known is not None and known.reference is None:
        where = f"model {model!r}" if listed else "unlisted_models"
        note(f"name it in the configuration: `reference: {output.name}` under {where}, relative to the config file")


def _table(reference: Reference) -> None:
    from monitor.cli import show
    from monitor.drift.pairs import pair_name

    prevalence = "" if reference.prevalence is None else f", prevalence {show.share(reference.prevalence)}"
    provisional = ", PROVISIONAL" if reference.provisional else ""
    title = f"{reference.model}: {reference.rows:,} rows{prevalence}{provisional}, {_origin(reference)}"
    made = show.table(
        show.plain(title), "feature", "type", "values", "missing", "bins", "range", right=("values", "missing", "bins")
    )
    for name, profile in reference.features.items():
        made.add_row(
            show.plain(name),
            profile.type,
            f"{profile.measured_rows:,}",
            show.share(profile.missing_rate),
            str(profile.binning.bins),
            show.plain(_range(profile)),
        )
    show.console().print(made)
    if reference.pairs:
        click.echo(f"pairs: {show.plain(', '.join(pair_name(pair) for pair in reference.pairs))}")
    click.echo(reference.digest)


def _origin(reference: Reference) -> str:
    from monitor.drift.reference import DataFile, FirstRows

    origin = reference.origin
    if isinstance(origin, DataFile):
        return f"from the file {origin.name}"
    if isinstance(origin, FirstRows):
        return f"from the first rows of {origin.topic}"
    return f"from {sum(end - start for _, start, end in origin.ranges):,} offsets of {origin.topic}"


def _range(profile: FeatureProfile) -> str:
    from monitor.drift.binning import CategoricalBinning

    binning = profile.binning
    if isinstance(binning, CategoricalBinning):
        names = binning.categories
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        rare = f", {len(binning.rare)} rare ones as hashes" if binning.rare else ""
        return ", ".join(names[:_SHOWN]) + more + rare
    inner = sorted({*binning.edges, *binning.atoms})
    if binning.minimum is None or not inner:
        return "-" if binning.minimum is None else f"from {binning.minimum:g}"
    return f"{min(binning.minimum, inner[0]):g} to {inner[-1]:g}"


command.add_command(diff)
