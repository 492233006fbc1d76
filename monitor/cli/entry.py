"""Where the console script begins: small, so that Ctrl-C means the same from the first moment to the last.

Everything else takes a tenth of a second to import, and an interrupt in the middle of that would be shown as a traceback
of whatever was being imported. Until the command handles it, and once it is done, Ctrl-C ends the process at once. What is
left is the start of Python itself and the script that pip writes: some twenty milliseconds in which no line of ours runs.

`driftline run` is likewise stopped by SIGTERM from here on, with the code that it has once it runs (`cli.run.Signals`): 0, and
143 where it was to run to the end, which it then has not. Of other commands SIGTERM means what it means by default.
"""

from __future__ import annotations

import os
import sys

# The C half of `signal`, whose other half takes ten times as long to import as this file.
from _signal import SIGINT, SIGTERM, default_int_handler, signal  # type: ignore[import-not-found]

INTERRUPTED = 130  # as in `exits`, which imports too much for here
TERMINATED = 128 + SIGTERM


def _end(*_: object) -> None:
    os._exit(INTERRUPTED)  # no clean-up: nothing was begun, or everything is done


def _stop(*_: object) -> None:
    if "--until-end" in sys.argv:
        os.write(2, b"driftline: SIGTERM came before the end was reached; run it again to go on from here\n")
        os._exit(TERMINATED)
    os._exit(0)  # nothing was read that was not committed


signal(SIGINT, _end)
if sys.argv[1:2] == ["run"]:
    signal(SIGTERM, _stop)


def main() -> None:
    """The console script."""
    from monitor.cli.app import main as command

    try:
        signal(SIGINT, default_int_handler)
        command()  # turns KeyboardInterrupt into an exit code
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        signal(SIGINT, _end)


if __name__ == "__main__":
    main()
