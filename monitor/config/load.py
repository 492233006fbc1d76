"""Files, environment and overrides to a Config, or to every problem at once. The only place here that reads files.

Numbered as it happens: 1. read and parse each file; 2. merge the layers; 3. fill in `${VAR}`, and replace old names of keys;
4. read secrets named by `KEY_file`; 5. validate each value, then the mistakes between values that are sound; 6. take the
digests of references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.config import renamed
from monitor.config import yaml_positions as tree
from monitor.config.kafka import is_secret
from monitor.config.layers import PROPERTIES, fill_in, from_environment, from_overrides, merge, put
from monitor.config.problems import Path as Place
from monitor.config.problems import path_text
from monitor.config.renamed import OldName
from monitor.config.types import Config, ReferenceFile
from monitor.config.validate import validate
from monitor.config.yaml_positions import Mistake, Node, Position, parse, plain
from monitor.errors import ConfigError

_Named = tuple[str, str | None, Place]
"""A model, its reference file, and where that was written."""
TOKEN_FILE = ("http", "token_file")
LARGEST_SECRET_BYTES = 64 << 10
"""Longest secret read from a file. A certificate chain is a few KiB."""


def load(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    require_references: bool = True,
) -> Config:
    """The config of these files, later ones over earlier ones, then `environ`, then `overrides` (`a.b=v`).

    `environ` is the process environment or None for no variables at all; this package does not look for itself.
    `require_references=False` is for the command that is about to build the reference files: missing ones are then
    left out of `Config.reference_digests`. Raises ConfigError with every problem found, each one sentence as
    `file:line:column: path: ...`, in the order of the files.
    """
    found = _Found()
    texts = []
    for path in paths:
        try:
            raw = path.read_bytes()
        except OSError as e:
            found.say(Position(str(path)), f"the file cannot be read: {_why(e)}")
            continue
        try:
            texts.append((str(path), raw.decode("utf-8-sig")))
        except UnicodeDecodeError as e:
            line = raw[: e.start].count(b"\n") + 1
            found.say(Position(str(path), line, 1), f"the file is not UTF-8: byte 0x{raw[e.start]:02x} is not text")
    if not paths:
        found.say(Position("config"), "no config file was given")
    if found.problems:
        raise found.error()
    return _build(texts, overrides, environ or {}, found, require_references)


def loads(
    text: str,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    name: str = "config.yaml",
    require_references: bool = True,
) -> Config:
    """The config of one text, as if it stood in a file called `name`; otherwise as `load`."""
    return _build([(name, text)], overrides, environ or {}, _Found(), require_references)


def secrets(paths: Sequence[Path], overrides: Sequence[str], environ: Mapping[str, str]) -> set[str]:
    """The secrets of the connection, and the token of the listener, as far as these say them, whatever else is wrong with them:
    for who shows what others wrote.

    Raises ConfigError where the files cannot be read, or are no YAML: then none is known.
    """
    found, texts = _Found(), []
    for path in paths:
        try:
            texts.append((str(path), path.read_bytes().decode("utf-8-sig")))
        except (OSError, UnicodeDecodeError) as e:
            found.say(Position(str(path)), f"the file cannot be read: {e}")
    if found.problems:
        raise found.error()
    root, files = _read_secrets(_layers(texts, overrides, environ, [])[0], [])
    known, token, properties = set[str](), _node(root, TOKEN_FILE), _node(root, PROPERTIES)
    if isinstance(token, tree.Scalar) and token.value is not None:
        known.add(_secret(token, []).strip())
    if isinstance(properties, tree.Mapping):
        scalars = {key: node.text for key, (_, node) in properties.entries.items() if isinstance(node, tree.Scalar)}
        known |= {text for key, text in scalars.items() if key in files or is_secret(key)}
    return known - {""}


def recorded(document: bytes) -> Config:
    """The config of a document that a namespace keeps: it was in force, so what it holds against rules that came later is let
    be. Its references are not looked for. Raises ConfigError for what this version cannot read."""
    return _build([("the recorded configuration", document.decode())], (), {}, _Found(), False, recorded=True)


def located(
    paths: Sequence[Path], overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Callable[[Place, str], str]:
    """What puts `file:line:column: path: ` before a sentence, for mistakes of a config that is sound by itself: read again, as
    `load` reads it."""
    texts = [(str(path), path.read_bytes().decode("utf-8-sig")) for path in paths]
    root, _ = _layers(texts, overrides, environ or {}, [])
    return lambda place, sentence: f"{_place(root, place)}: {path_text(place)}: {sentence}"


@dataclass(slots=True)
class _Found:
    """Problems with their places, to be told in the order of the files."""

    problems: list[tuple[tuple[int, int, int], str]] = field(default_factory=list)
    origins: dict[str, int] = field(default_factory=dict)

    def say(self, at: Position, sentence: str) -> None:
        order = self.origins.setdefault(at.origin, len(self.origins))
        self.problems.append(((order, at.line, at.column), f"{at}: {sentence}"))

    def error(self) -> ConfigError:
        told = dict.fromkeys(sentence for _, sentence in sorted(self.problems))
        return ConfigError(list(told))


def _build(
    texts: Sequence[tuple[str, str]],
    overrides: Sequence[str],
    environ: Mapping[str, str],
    found: _Found,
    require_references: bool,
    *,
    recorded: bool = False,
) -> Config:
    mistakes: list[Mistake] = []
    root, old_names = _layers(texts, overrides, environ, mistakes, recorded=recorded)
    root, secret_files = _read_secrets(root, mistakes)
    for mistake in mistakes:
        found.say(mistake.at, mistake.sentence)
    told = {mistake.at for mistake in mistakes}
    config, problems = validate(plain(root), recorded=recorded)
    for problem in problems:
        node = _node(root, problem.path)
        if node is None or node.at not in told:
            found.say(_place(root, problem.path), f"{path_text(problem.path)}: {problem.sentence}".removeprefix(": "))
    if config is None or found.problems:
        if not recorded:
            _read_references(_written_references(root), root, found, require_references)
        raise found.error()
    if config.kafka is not None:
        config = config.model_copy(update={"kafka": config.kafka.with_secret_files(secret_files)})
    if (path := _token_path(root)) is not None:
        config = config.model_copy(update={"http": config.http.with_token_path(path)})
    references = _read_references(_named_references(config), root, found, require_references)
    if found.problems:
        raise found.error()
    return config.with_references(references).with_old_names(old_names)


def _layers(
    texts: Sequence[tuple[str, str]],
    overrides: Sequence[str],
    environ: Mapping[str, str],
    mistakes: list[Mistake],
    *,
    recorded: bool = False,
) -> tuple[tree.Mapping, tuple[OldName, ...]]:
    """Steps 1 to 3. Raises ConfigError for text that is not YAML: whatever follows from it would be noise."""
    root: Node = tree.Mapping({}, Position(texts[0][0] if texts else "config", 1, 1))
    unreadable = False
    for origin, text in texts:
        parsed = parse(text, origin)
        mistakes.extend(parsed.mistakes)
        if parsed.tree is None:
            unreadable |= bool(parsed.mistakes)
        elif isinstance(parsed.tree, tree.Mapping):
            root = merge(root, fill_in(parsed.tree, environ, mistakes))
        else:
            sentence = "the config is not a mapping; write keys such as 'streams:' at the start of a line"
            mistakes.append(Mistake(parsed.tree.at, sentence))
            unreadable = True
    if unreadable:
        found = _Found()
        for mistake in mistakes:
            found.say(mistake.at, mistake.sentence)
        raise found.error()
    for path, value in [*from_environment(environ, mistakes), *from_overrides(overrides, mistakes)]:
        root = put(root, path, value, mistakes)
    assert isinstance(root, tree.Mapping), "only mappings are merged, and every path has a key"
    return renamed.with_new_names(root, mistakes, renamed.RENAMED, recorded=recorded)


def _read_secrets(root: tree.Mapping, mistakes: list[Mistake]) -> tuple[tree.Mapping, dict[str, str]]:
    """Step 4: `sasl.password_file` becomes `sasl.password`. Also returns property -> file as it was written."""
    properties = _node(root, PROPERTIES)
    if not isinstance(properties, tree.Mapping):
        return root, {}
    entries = dict(properties.entries)
    files: dict[str, str] = {}
    for key, (at, node) in properties.entries.items():
        if not key.endswith("_file") or not isinstance(node, tree.Scalar):
            continue
        name = key.removesuffix("_file")
        if name in entries and not _wins(at, entries[name][0]):
            if entries[name][0].line:
                mistakes.append(Mistake(at, f"kafka.properties has both {name!r} and {key!r}; keep one of them"))
            del entries[key]
            continue
        del entries[key]
        secret = _secret(node, mistakes)
        entries[name] = (at, tree.Scalar(secret, secret, False, node.at))
        files[name] = node.text
    over = tree.Mapping(entries, properties.at)
    kafka = _node(root, PROPERTIES[:1])
    assert isinstance(kafka, tree.Mapping), "the parent of a node that was found"
    with_properties = {**kafka.entries, "properties": (kafka.entries["properties"][0], over)}
    new = tree.Mapping(with_properties, kafka.at)
    return tree.Mapping({**root.entries, "kafka": (root.entries["kafka"][0], new)}, root.at), files


def _token_path(root: tree.Mapping) -> str | None:
    """Where the token of the listener is. It stays there: the file is read while the process runs."""
    node = _node(root, TOKEN_FILE)
    return None if not isinstance(node, tree.Scalar) or node.value is None else str(_beside(node.at, node.text))


def _wins(one: Position, other: Position) -> bool:
    """A file named by the environment or an override wins over a value written in a file."""
    return not one.line and bool(other.line)


def _secret(node: tree.Scalar, mistakes: list[Mistake]) -> str:
    path = _beside(node.at, node.text)
    try:
        raw = path.read_bytes()
        text = raw[:LARGEST_SECRET_BYTES].decode("utf-8")
    except OSError as e:
        mistakes.append(Mistake(node.at, f"the secret file {str(path)!r} cannot be read: {_why(e)}"))
        return ""
    except UnicodeDecodeError:
        mistakes.append(Mistake(node.at, f"the secret file {str(path)!r} is not UTF-8 text"))
        return ""
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret or len(raw) > LARGEST_SECRET_BYTES:
        why = f"longer than {LARGEST_SECRET_BYTES} bytes" if secret else "empty"
        mistakes.append(Mistake(node.at, f"the secret file {str(path)!r} is {why}"))
    return secret


def _named_references(config: Config) -> list[_Named]:
    """The reference files of the models; `*` stands for the template of unlisted ones."""
    named: list[_Named] = [
        (model.name, model.reference, ("models", index, "reference")) for index, model in enumerate(config.models)
    ]
    if config.unlisted_models is not None:
        named.append(("*", config.unlisted_models.reference, ("unlisted_models", "reference")))
    return named


def _written_references(root: tree.Mapping) -> Iterator[_Named]:
    """Those of a configuration that has mistakes elsewhere: what is missing is told together with them."""
    models = _node(root, ("models",))
    count = len(models.items) if isinstance(models, tree.Sequence) else 0
    for place in (*(("models", index, "reference") for index in range(count)), ("unlisted_models", "reference")):
        node = _node(root, place)
        if isinstance(node, tree.Scalar) and isinstance(node.value, str):
            yield "", node.value, place


def _read_references(
    named: Iterable[_Named], root: tree.Mapping, found: _Found, require_references: bool
) -> dict[str, ReferenceFile]:
    """Step 6."""
    files: dict[str, ReferenceFile] = {}
    for name, reference, place in named:
        if reference is None:
            continue
        at = _place(root, place)
        path = _beside(at, reference)
        try:
            files[name] = ReferenceFile.of(str(path), path.read_bytes())
        except OSError as e:
            if require_references or not isinstance(e, FileNotFoundError):
                remedy = "build it with `driftline reference build`, or leave `reference` out"
                found.say(at, f"{path_text(place)}: the file {str(path)!r} cannot be read: {_why(e)}; {remedy}")
    return files


def _beside(at: Position, name: str) -> Path:
    """A path that was written in a config file is relative to that file; any other to the working directory."""
    return Path(at.origin).parent / name if at.line else Path(name)


def _node(root: Node, path: Place) -> Node | None:
    """What stands exactly at `path`."""
    node: Node | None = root
    for step in path:
        if isinstance(node, tree.Mapping) and str(step) in node.entries:
            node = node.entries[str(step)][1]
        elif isinstance(node, tree.Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def _place(root: tree.Mapping, path: Place) -> Position:
    """Where `path` was written: its value, or for a key that is missing the nearest key above it."""
    node: Node = root
    at = root.at
    for step in path:
        if isinstance(node, tree.Mapping) and str(step) in node.entries:
            key_at, node = node.entries[str(step)]
            at = node.at if isinstance(node, tree.Scalar) and node.text != "" else key_at
        elif isinstance(node, tree.Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            at = node.at
        else:
            break
    return at


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
