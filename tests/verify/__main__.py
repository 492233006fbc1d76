"""`python -m tests.verify PART`: a part of `make verify`, or all of them, or the report of what they showed."""

from __future__ import annotations

import argparse

from tests.verify import chaos, fuzz, model, mutations, report, simulate


def everything() -> int:
    """Every part, the short ones first; 1 when anything did not hold. The report is written in any case."""
    codes = [
        model.main(),
        mutations.main(),
        fuzz.main(inputs=20_000, seed=0, only=None),
        simulate.main(first=0, seeds=10_000),
        chaos.main(faults=1_000, seed=0, minutes=None),
    ]
    print(report.write())
    return max(codes)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verify", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    one = parts.add_parser("simulate", help="whole deployments under one seed each")
    one.add_argument("--seed", type=int, default=0, help="the first seed")
    one.add_argument("--seeds", type=int, default=1, help="how many, counting up")
    one.add_argument("--minutes", type=float, help="stop after so long, whatever is left")
    parts.add_parser("model", help="every interleaving of two writers of a ledger")
    parts.add_parser("mutations", help="take the rules away one at a time, and see what notices")
    fuzzed = parts.add_parser("fuzz", help="decoders, configuration and durable records")
    fuzzed.add_argument("--inputs", type=int, default=20_000, help="for each target")
    fuzzed.add_argument("--seed", type=int, default=0)
    fuzzed.add_argument("--target", help="only this one")
    hurt = parts.add_parser("chaos", help="faults on three real Kafka nodes")
    hurt.add_argument("--faults", type=int, default=1_000)
    hurt.add_argument("--seed", type=int, default=0)
    hurt.add_argument("--minutes", type=float, help="no further fault after so long")
    parts.add_parser("all", help="every part at its full length, then the report")
    parts.add_parser("report", help="write tests/verify/report.md from the last run of each part")
    arguments = parser.parse_args()
    match arguments.part:
        case "simulate":
            return simulate.main(arguments.seed, arguments.seeds, arguments.minutes)
        case "model":
            return model.main()
        case "mutations":
            return mutations.main()
        case "fuzz":
            return fuzz.main(arguments.inputs, arguments.seed, arguments.target)
        case "chaos":
            return chaos.main(arguments.faults, arguments.seed, arguments.minutes)
        case "all":
            return everything()
        case _:
            print(report.write())
            return 0


if __name__ == "__main__":
    raise SystemExit(main())
