"""`python -m tests.verify PART`: a part of `make verify`, or all of them, or the report of what they showed."""

from __future__ import annotations

import argparse

from tests.verify import report, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verify", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    one = parts.add_parser("simulate", help="whole deployments under one seed each")
    one.add_argument("--seed", type=int, default=0, help="the first seed")
    one.add_argument("--seeds", type=int, default=1, help="how many, counting up")
    one.add_argument("--minutes", type=float, help="stop after so long, whatever is left")
    parts.add_parser("report", help="write tests/verify/report.md from the last run of each part")
    arguments = parser.parse_args()
    match arguments.part:
        case "simulate":
            return simulate.main(arguments.seed, arguments.seeds, arguments.minutes)
        case _:
            print(report.write())
            return 0


if __name__ == "__main__":
    raise SystemExit(main())
