"""Reading a reference profile back from its document. `Reference.dumps` writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from monitor.drift.binning import Binning, CategoricalBinning, NumericBinning
from monitor.drift.pairs import Name
from monitor.drift.reference import FORMAT, VERSION, DataFile, FeatureProfile, FirstRows, Origin, Reference, TopicRange
from monitor.errors import ReferenceProfileError

T = TypeVar("T")


def loads(text: str | bytes) -> Reference:
    """The profile of a document, in whatever layout it was saved.

    Raises ReferenceProfileError that names the path in the document and what is wrong there. Fields that this version
    does not know are refused: they would be lost, and the digest with them.
    """
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:  # malformed JSON or UTF-8; nested too deeply
        raise ReferenceProfileError(
            f"not a reference profile: {error}. Expected the JSON of `reference build`"
        ) from None
    document = _At("$", parsed).object()
    if document.get("format") != FORMAT:
        raise ReferenceProfileError(
            f"$.format: is {document.get('format')!r}, not {FORMAT!r}: this is not a reference profile"
        )
    version = _At("$.version", document.get("version")).count()
    if version > VERSION:
        raise ReferenceProfileError(
            f"$.version: the profile has format version {version}, this driftline reads up to {VERSION}. "
            "Upgrade driftline, or build the reference again with `driftline reference build`."
        )
    if version < 1:
        raise ReferenceProfileError(f"$.version: {version} never existed; the first format version is 1")
    names = ("format", "version", "model", "rows", "provisional", "origin", "labels", "features")
    root = _At("$", document).fields(*names, *(["pairs"] if version >= VERSION else []))
    pairs = dict(map(_pair, root["pairs"].items())) if version >= VERSION else {}
    labels = root["labels"].fields("labelled", "positives")
    features = {name: _feature(at) for name, at in root["features"].members()}
    model, rows, provisional = root["model"].text(), root["rows"].count(), root["provisional"].flag()
    origin = _origin(root["origin"])
    positives, labelled = labels["positives"].count(), labels["labelled"].count()
    return _placed("$", lambda: Reference(model, rows, origin, features, provisional, positives, labelled, pairs))


def _pair(at: _At) -> tuple[Name, tuple[int, ...]]:
    found = at.fields("features", "counts")
    names = [item.text() for item in found["features"].items()]
    if len(names) != 2:
        raise ReferenceProfileError(f"{at.path}.features: must name two features, it names {len(names)}")
    return (names[0], names[1]), tuple(item.count() for item in found["counts"].items())


def _origin(at: _At) -> Origin:
    kind = at.object().get("kind")
    if kind == "topic":
        topic = at.fields("kind", "topic", "ranges")
        return TopicRange(topic["topic"].text(), tuple(_span(span) for span in topic["ranges"].items()))
    if kind == "file":
        file = at.fields("kind", "name", "digest")
        return DataFile(file["name"].text(), file["digest"].text())
    if kind == "first_rows":
        return FirstRows(at.fields("kind", "topic")["topic"].text())
    raise ReferenceProfileError(f"{at.path}.kind: is {kind!r}, must be 'topic', 'file' or 'first_rows'")


def _span(at: _At) -> tuple[int, int, int]:
    numbers = [item.count() for item in at.items()]
    if len(numbers) != 3 or numbers[1] > numbers[2]:
        raise ReferenceProfileError(f"{at.path}: must be [partition, first offset, one past the last]")
    return numbers[0], numbers[1], numbers[2]


def _feature(at: _At) -> FeatureProfile:
    kind = at.object().get("type")
    binning: Binning
    if kind == "numeric":
        found = at.fields("type", "counts", "minimum", "edges", "atoms")
        minimum = None if found["minimum"].value is None else found["minimum"].number()
        edges, atoms = (tuple(item.number() for item in found[name].items()) for name in ("edges", "atoms"))
        binning = _placed(at.path, lambda: NumericBinning(minimum, edges, atoms))
    elif kind == "categorical":
        found = at.fields("type", "counts", "categories", "rare", "rare_complete")
        categories, rare = (tuple(item.text() for item in found[name].items()) for name in ("categories", "rare"))
        complete = found["rare_complete"].flag()
        binning = _placed(at.path, lambda: CategoricalBinning(categories, rare, complete))
    else:
        raise ReferenceProfileError(f"{at.path}.type: is {kind!r}, must be 'numeric' or 'categorical'")
    counts = tuple(item.count() for item in found["counts"].items())
    return _placed(at.path, lambda: FeatureProfile(binning, counts))


def _placed(path: str, make: Callable[[], T]) -> T:
    """What `make` returns; its complaint, which begins with the field's name, gets the path before it."""
    try:
        return make()
    except ReferenceProfileError as error:
        raise ReferenceProfileError(f"{path}.{error}") from None


class _At:
    """A value somewhere in the document, which knows where it is."""

    __slots__ = ("path", "value")

    def __init__(self, path: str, value: Any) -> None:
        self.path, self.value = path, value

    def _wrong(self, wanted: str) -> ReferenceProfileError:
        return ReferenceProfileError(f"{self.path}: must be {wanted}, is {json.dumps(self.value)[:60]}")

    def object(self) -> Mapping[str, Any]:
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        return self.value

    def members(self) -> list[tuple[str, _At]]:
        return [(name, _At(f"{self.path}.{name}", value)) for name, value in self.object().items()]

    def fields(self, *names: str) -> dict[str, _At]:
        found = self.object()
        for name in names:
            if name not in found:
                raise ReferenceProfileError(f"{self.path}.{name}: is missing")
        for name in found:
            if name not in names:
                raise ReferenceProfileError(f"{self.path}.{name}: is not a field of this format version")
        return dict(self.members())

    def items(self) -> list[_At]:
        if not isinstance(self.value, list):
            raise self._wrong("a list")
        return [_At(f"{self.path}[{i}]", value) for i, value in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self._wrong("text")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def count(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value < 1 << 62:
            raise self._wrong("a whole number from 0")
        return self.value

    def number(self) -> float:
        if (
            isinstance(self.value, bool)
            or not isinstance(self.value, int | float)
            or abs(self.value) > 1.7976931348623157e308
        ):
            raise self._wrong("a finite number")
        return float(self.value)
