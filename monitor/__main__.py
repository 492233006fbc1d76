"""`python -m monitor`: the commands of `driftline` that need nothing but this package."""

from __future__ import annotations

from monitor.cli.app import main

if __name__ == "__main__":
    main("python -m monitor")
