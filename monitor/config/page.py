"""The table of every key for docs/configuration.md, generated from the types so that it cannot rot."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo

from monitor.config.base import Section
from monitor.config.durations import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size
from monitor.config.explain import allowed_range
from monitor.config.kafka import OWNED
from monitor.config.sources import FeatureSource, TimeField
from monitor.config.types import Config, Model, ModelTemplate
from monitor.config.walk import choices, keys, section_in
from monitor.config.windows import Window
from monitor.config.yaml_text import flow

BEGIN = "<!-- keys: begin (generated from monitor/config; do not edit) -->"
END = "<!-- keys: end -->"


def keys_page() -> str:
    """Markdown between (and with) the two markers: a table for each section, then the properties that are owned."""
    parts = [BEGIN, "", *_tables(Config, "", "The top level"), *_owned(), END]
    return "\n".join(parts) + "\n"


def replaced(page: str) -> str:
    """A page with what stands between its markers generated anew. The markers must be there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END + "\n")
    assert begin, "docs/configuration.md has the first marker"
    assert end, "docs/configuration.md has the second marker"
    return before + keys_page() + after


def _tables(section: type[Section], at: str, title: str) -> list[str]:
    """The section's own table, then those of the sections in it, in the order of their keys."""
    lines = [
        f"### {title}",
        "",
        *_about(section),
        "| key | what it takes | default | example |",
        "| --- | --- | --- | --- |",
    ]
    below: list[str] = []
    described: set[type[Section]] = set()
    for key, info in keys(section).items():
        inner = section_in(info.annotation)
        path = f"{at}.{key}".removeprefix(".")
        lines.append(_row(key, info, inner))
        if get_origin(info.annotation) is dict and (inner := section_in(get_args(info.annotation)[1])) is not None:
            path += ".NAME"
        if inner is None or issubclass(inner, (TimeField, FeatureSource)):
            continue
        if inner is ModelTemplate:
            continue  # the table of `models` says it all
        if inner in described:
            continue  # the one above says the same
        described.add(inner)
        many = "[]" if get_origin(info.annotation) is tuple else ""
        below += _tables(inner, path + many, f"`{path}{many}`")
    return [*lines, "", *below]


def _about(section: type[Section]) -> list[str]:
    text = " ".join((section.__doc__ or "").split())
    if section is Config:
        text = "One file, or several that are merged in order."
    if section is Model:
        text = "A listed model. `unlisted_models` takes the same keys without `name`."
    return [text, ""]


def _row(key: str, info: FieldInfo, inner: type[Section] | None) -> str:
    example = f"`{flow(info.examples[0])}`" if info.examples else ""
    about = info.description or (" ".join(_about(inner)).strip() if inner else "")
    text = f"{_kind(info, inner)}. {about}".replace("|", "\\|")
    return f"| `{key}` | {text.strip()} | {_default(info)} | {example} |"


def _kind(info: FieldInfo, inner: type[Section] | None) -> str:
    if words := choices(info.annotation):
        return " or ".join(f"`{word}`" for word in words)
    if inner is not None and issubclass(inner, TimeField):
        return "place, or `{from: place, unit: ms}`"
    annotation = _without_none(info.annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return "list of mappings" if section_in(arguments[0]) else "list"
    if inner is not None or origin is dict:
        return "mapping"
    return _scalar_kind(info)


def _scalar_kind(info: FieldInfo) -> str:
    form = _form(info)
    if form:
        return form
    if info.alias is None and "Source" in str(info.annotation):
        return "place"
    ranges = f" ({allowed_range(info)})" if allowed_range(info) else ""
    name = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text"}.get(
        _without_none(info.annotation)
    )
    return f"{name or 'text'}{ranges}"


def _without_none(annotation: Any) -> Any:
    """What a field that may be left out holds when it is not."""
    others = [part for part in get_args(annotation) if part is not type(None)]
    if type(None) not in get_args(annotation) or len(others) != 1:
        return annotation
    return get_args(others[0])[0] if get_origin(others[0]) is Annotated else others[0]


def _form(info: FieldInfo) -> str:
    """Duration or size, told from the JSON schema that the field carries."""
    inner = [
        part for choice in get_args(info.annotation) if get_origin(choice) is Annotated for part in get_args(choice)
    ]
    for part in (*info.metadata, *inner):
        made: Any = getattr(part, "json_schema", None) or {}
        if made.get("pattern") == DURATION_PATTERN:
            return "duration"
        if any(choice.get("pattern") == SIZE_PATTERN for choice in made.get("anyOf", ())):
            return "size"
    return ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    if info.default_factory is not None or info.default is None:
        return ""
    form = _form(info)
    if form and isinstance(info.default, int):
        return f"`{format_duration(info.default) if form == 'duration' else format_size(info.default)}`"
    if isinstance(info.default, tuple):
        shown = [item.name if isinstance(item, Window) else item for item in info.default]
        return f"`{flow(shown)}`" if shown else ""
    return f"`{flow(info.default)}`"


def _owned() -> list[str]:
    rows = [f"| `{key}` | {why} |" for key, why in sorted(OWNED.items())]
    title = "### Properties of librdkafka that Driftline sets itself"
    return [title, "", "They are refused in `kafka.properties`.", "", "| property | why |", "| --- | --- |", *rows, ""]
