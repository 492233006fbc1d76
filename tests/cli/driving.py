"""The command line, driven in this process: what `driftline ARGS` would print and with which code it would end."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from monitor.cli import app


@dataclass(frozen=True)
class Outcome:
    """An ended command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def driftline(*args: object) -> Outcome:
    """Run a command the way the console script does, error sentences and exit codes included."""
    with _streams(["driftline", *map(str, args)]) as (out, err):
        try:
            app.main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
        return Outcome(code, out.getvalue().decode(), err.getvalue().decode())


@contextmanager
def _streams(argv: list[str]) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.argv, sys.stdout, sys.stderr
    sys.argv = argv
    sys.stdout, sys.stderr = (io.TextIOWrapper(raw, encoding="utf-8", write_through=True) for raw in (out, err))
    wrappers = sys.stdout, sys.stderr
    try:
        yield out, err
    finally:
        sys.argv, sys.stdout, sys.stderr = before
        for wrapper in wrappers:
            wrapper.detach()
