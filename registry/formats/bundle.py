"""All files of a model together: which format each has, or every reason why they are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from registry.formats.finding import BUNDLE_BYTES_MAX, FILES_MAX, Finding, Malformed, Refusal
from registry.formats.json_model import hidden_pickles, json_model
from registry.formats.onnx import onnx_model, operators_refused, outside
from registry.formats.river_recipe import is_recipe, recipe_faults
from registry.formats.safetensors import check_safetensors
from registry.formats.sniff import containers, named
from registry.manifest import ModelFormat
from registry.names import colliding, path_fault

_SUFFIXES: Final = {".onnx": "ONNX", ".safetensors": "safetensors", ".json": "JSON"}
_CODE: Final = frozenset(
    {".py", ".so", ".dll", ".dylib", ".pyd", ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".sh", ".exe"}
)
_PICKLED: Final = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """The format of each file that was recognised, and every reason to refuse. Usable only without findings."""

    formats: Mapping[str, ModelFormat]
    findings: tuple[Finding, ...]


def by_name(path: str) -> Finding | None:
    """Why a file would be refused whatever is in it, None where it has to be looked at."""
    suffix = _suffix(path)
    if suffix not in _CODE:
        return None
    kind = Refusal.PICKLE if suffix in _PICKLED else Refusal.EXECUTABLE
    return Finding(path, kind, f"files of the suffix {suffix} are never taken; it was not fetched")


def inspect(files: Mapping[str, memoryview]) -> Inspection:
    """Look at every file. Nothing is loaded, unpacked to the disk or run."""
    formats: dict[str, ModelFormat] = {}
    findings = list(_shape(files))
    if any(finding.refusal is Refusal.TOO_MANY_FILES for finding in findings):
        return Inspection(formats, tuple(findings))
    sizes = {path: len(view) for path, view in files.items()}
    referred: set[str] = set()
    for path, view in sorted(files.items()):
        if (reader := _READERS.get(_suffix(path))) is not None:
            found = reader(path, view, sizes)
            findings += found.findings
            referred |= found.refers
            if found.format is not None:
                formats[path] = found.format
    for path, view in sorted(files.items()):
        if _suffix(path) not in _READERS:
            if path in referred and _suffix(path) not in _CODE:
                findings += containers(path, view)
                formats[path] = ModelFormat.ONNX_DATA
            else:
                findings += named(path, view)
    return Inspection(formats, tuple(sorted(set(findings))))


def _shape(files: Mapping[str, memoryview]) -> Iterator[Finding]:
    if not files:
        yield Finding(".", Refusal.EMPTY, "there is no file")
    if len(files) > FILES_MAX:
        yield Finding(".", Refusal.TOO_MANY_FILES, f"there are {len(files):,} files, more than {FILES_MAX:,}")
    if (total := sum(map(len, files.values()))) > BUNDLE_BYTES_MAX:
        yield Finding(".", Refusal.TOO_LARGE, f"the files have {total:,} bytes, more than {BUNDLE_BYTES_MAX:,}")
    for path in files:
        if (fault := path_fault(path)) is not None:
            yield Finding(path, Refusal.PATH, f"the path {fault}")
    for path in colliding(files):
        yield Finding(path, Refusal.PATH, "another path differs from it in case only, or is a folder there")


@dataclass(frozen=True, slots=True)
class _Read:
    format: ModelFormat | None
    findings: tuple[Finding, ...] = ()
    refers: frozenset[str] = frozenset()


_Reader = Callable[[str, memoryview, Mapping[str, int]], _Read]


def _onnx(path: str, view: memoryview, sizes: Mapping[str, int]) -> _Read:
    try:
        external, operators = onnx_model(view)
    except Malformed as error:
        return _not(path, view, error)
    findings = [*containers(path, view), *operators_refused(path, operators)]
    refers = set()
    for tensor in external:
        target, finding = outside(path, tensor, sizes)
        findings += [finding] if finding else []
        refers |= {target} if target else set()
    return _Read(ModelFormat.ONNX, tuple(findings), frozenset(refers))


def _safetensors(path: str, view: memoryview, _: Mapping[str, int]) -> _Read:
    try:
        check_safetensors(view)
    except Malformed as error:
        return _not(path, view, error)
    return _Read(ModelFormat.SAFETENSORS, tuple(containers(path, view)))


def _json(path: str, view: memoryview, _: Mapping[str, int]) -> _Read:
    try:
        document = json_model(view)
    except Malformed as error:
        return _not(path, view, error)
    findings = [Finding(path, Refusal.PICKLE, what) for what in hidden_pickles(document)]
    if is_recipe(document):
        return _Read(ModelFormat.RIVER, (*findings, *recipe_faults(path, document)))
    return _Read(ModelFormat.JSON, tuple(findings))


_READERS: Final[Mapping[str, _Reader]] = {".onnx": _onnx, ".safetensors": _safetensors, ".json": _json}


def _not(path: str, view: memoryview, error: Malformed) -> _Read:
    """A file that is not what its suffix says: what it is instead, or what is wrong with it."""
    found = [each for each in named(path, view) if each.refusal is not Refusal.UNKNOWN_FORMAT]
    meant = _SUFFIXES[_suffix(path)]
    if not found and (other := _recognised(view)) is not None:
        found = [Finding(path, Refusal.WRONG_SUFFIX, f"it is {other}, not {meant}")]
    return _Read(None, tuple(found or [Finding(path, Refusal.MALFORMED, f"as {meant}: {error}")]))


def _recognised(view: memoryview) -> str | None:
    readers = (("ONNX", onnx_model), ("safetensors", check_safetensors), ("JSON", json_model))
    for name, reader in readers:
        try:
            reader(view)
        except Malformed:
            continue
        return name
    return None


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""
