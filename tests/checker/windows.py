"""Compares what was published on the `windows` and `alerts` topics, read raw.

    python -m tests.checker.windows --bootstrap HOST:PORT --namespace a --against b
    python -m tests.checker.windows --embedded DIR --namespace a --against-embedded DIR2 --against a
    python -m tests.checker.windows --bootstrap HOST:PORT --namespace a --truth monitor/demo/flights/truth.json
    python -m tests.checker.windows --bootstrap HOST:PORT --namespace a --predictions TOPIC --labels TOPIC --window day

`--against`: the final windows of both namespaces byte for byte, and their alerts, each once by id, without the
namespace and its hashes.
`--truth`: counts exactly, ROC AUC within the bound that the window itself states, the other metrics within 1e-9.
`--predictions`, `--labels`: the same against a recount of the two topics (`tests.checker.recount`).
Prints one line per difference (the first 20) and exits 1 when there is any, or when there was nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.checker import recount
from tests.checker.sources import Raw, Source, flat, open_source
from tests.oracle import join

CELLS = ("tp", "fp", "fn", "tn")
TOLERANCE = 1e-9
TRUTH_METRICS = ("accuracy", "precision", "recall", "roc_auc", "brier", "log_loss")
ORDER_HEADERS = ("driftline-epoch", "driftline-sequence")
"""Of two records with one key the one with the larger (epoch, sequence, offset) is the current one: within one step of
one evaluator they stand in order, and a withdrawn window has no revision."""

SeriesWindow = tuple[str, str, str, str, int]
"""(model, version, segment, window name, start_ms)"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a window has to say; a metric that is None has to be undefined."""

    seen: int
    labelled: int
    cells: Mapping[str, int]
    metrics: Mapping[str, float | None]


# -- reading ---------------------------------------------------------------------------------------------------------


def current(records: Iterable[Raw]) -> dict[str, bytes]:
    """The current value of every key of a compacted topic; deleted keys are left out."""
    best: dict[str, tuple[tuple[int, ...], bytes | None]] = {}
    for raw in records:
        key = (raw.key or b"").decode()
        order = (*(int(raw.headers.get(name, b"0")) for name in ORDER_HEADERS), raw.offset)
        if key not in best or order > best[key][0]:
            best[key] = order, raw.value
    return {key: value for key, (_, value) in best.items() if value}


def final(windows: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those that say of themselves that they are final."""
    return {key: value for key, value in windows.items() if json.loads(value)["final"]}


def alerts_of(records: Iterable[Raw], without: Collection[str] = ()) -> tuple[dict[str, bytes], list[str]]:
    """Every alert once by its id, without what names the deployment, called by what it is about; and a complaint for
    each id that was published with two contents. Ids differ between namespaces, since they hash the namespace.

    `without`: conditions of the daemon that one run was in and the other not (a full disk), which owners recorded."""
    by_id: dict[str, bytes] = {}
    complaints = []
    for raw in records:
        if raw.value:
            id_ = str(json.loads(raw.value)["id"])
            if by_id.setdefault(id_, raw.value) != raw.value:
                apart = first_difference(json.loads(by_id[id_]), json.loads(raw.value))
                complaints.append(f"alert {id_}: published twice with different contents: {apart}")
    called: dict[str, list[bytes]] = {}
    for value in by_id.values():
        event = json.loads(value)
        if event["data"].get("condition") in without:
            continue
        name = f"{event['type']} {event['subject']} at {event['time']}"
        called.setdefault(name, []).append(without_deployment(event))
    return {f"{n} ({i})": v for n, values in called.items() for i, v in enumerate(sorted(values))}, complaints


def without_deployment(event: dict[str, Any]) -> bytes:
    """An alert without its namespace and the hashes that the namespace goes into; otherwise byte for byte as it was."""
    data = {k: v for k, v in event["data"].items() if k not in ("fingerprint", "episode")}
    if data.get("amends"):
        data["amends"] = {k: v for k, v in data["amends"].items() if k != "event"}
    kept = {k: v for k, v in event.items() if k not in ("id", "source", "partitionkey")}
    return json.dumps({**kept, "data": data}, ensure_ascii=False, separators=(",", ":")).encode()


# -- comparing -------------------------------------------------------------------------------------------------------


def differences(left: Mapping[str, bytes], right: Mapping[str, bytes], what: str) -> list[str]:
    """One line per key that is missing on a side or whose bytes differ, in the order of the keys."""
    found = []
    for key in sorted({*left, *right}):
        if key not in left or key not in right:
            found.append(f"{what} {key}: only in the {'second' if key not in left else 'first'}")
        elif left[key] != right[key]:
            found.append(f"{what} {key}: {first_difference(json.loads(left[key]), json.loads(right[key]))}")
    return found


def first_difference(left: Any, right: Any, path: str = "$") -> str:
    """Where two JSON values first differ, and both sides of it."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            if key not in left or key not in right:
                return f"{path}.{key} is only in the {'second' if key not in left else 'first'}"
            if left[key] != right[key]:
                return first_difference(left[key], right[key], f"{path}.{key}")
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            if a != b:
                return first_difference(a, b, f"{path}[{i}]")
    if left == right:
        return "equal values, different bytes: the payload is not canonical"
    return f"{path} is {left!r} and {right!r}"


def against(windows: Mapping[str, bytes], expected: Mapping[SeriesWindow, Expected], names: set[str]) -> list[str]:
    """Complaints about the performance windows called `names`: all expected ones, no other, each as it should be."""
    published = {}
    for value in windows.values():
        w = json.loads(value)
        if w["kind"] == "performance" and w["window"] in names and w["seen"]:
            published[w["model"], w["version"], w["segment"], w["window"], w["start_ms"]] = w
    found = [f"window {key}: expected, not published" for key in sorted(expected.keys() - published.keys())]
    found += [f"window {key}: published, not expected" for key in sorted(published.keys() - expected.keys())]
    for key in sorted(expected.keys() & published.keys()):
        found += [f"window {key}: {complaint}" for complaint in judge(published[key], expected[key])]
    return found


def judge(window: Mapping[str, Any], expected: Expected) -> list[str]:
    """What is wrong with one published window."""
    numbers = {"seen": expected.seen, "labelled": expected.labelled, **expected.cells}
    says = {"seen": window["seen"], "labelled": window["labelled"], **window["counts"]}
    found = [f"{name} is {says.get(name)}, not {n}" for name, n in numbers.items() if says.get(name) != n]
    for name, value in expected.metrics.items():
        metric = window["metrics"].get(name)
        if metric is None:
            found.append(f"{name} is missing")
        elif (metric["value"] is None) != (value is None):
            found.append(f"{name} is {metric['value']}, not {value}")
        elif value is not None:
            allowed = TOLERANCE + (metric.get("bound") or 0.0 if name == "roc_auc" else 0.0)
            if not abs(metric["value"] - value) <= allowed:
                found.append(f"{name} is {metric['value']}, not {value}: further away than {allowed}")
    return found


# -- what is expected ------------------------------------------------------------------------------------------------


def truth(path: Path, model: str = "arrival-delay", version: str = "1") -> dict[SeriesWindow, Expected]:
    """The windows of a `truth.json`: `month` and `day`, by their first day, for one model."""
    expected = {}
    for name, windows in json.loads(path.read_bytes()).items():
        for start, row in windows.items():
            first = datetime.strptime(start, "%Y-%m" if name == "month" else "%Y-%m-%d").replace(tzinfo=UTC)
            expected[model, version, "all", name, int(first.timestamp()) * 1000] = Expected(
                row["predictions"],
                row["labelled"],
                {cell: row[cell] for cell in CELLS},
                {metric: row[metric] for metric in TRUTH_METRICS if metric in row},
            )
    return expected


def recounted(
    predictions: Sequence[Sequence[join.Prediction]],
    labels: Sequence[Sequence[join.Label]],
    params: join.Params,
    name: str,
) -> dict[SeriesWindow, Expected]:
    """The windows called `name` as the recount has them."""
    return {
        (model, version, segment, name, start): Expected(
            r.counts["seen"], r.counts["labelled"], {cell: r.counts[cell] for cell in CELLS}, r.metrics
        )
        for (model, version, segment, start), r in recount.recount(predictions, labels, params).items()
    }


# -- command line ----------------------------------------------------------------------------------------------------


def compare_namespaces(
    left: Source, left_name: str, right: Source, right_name: str, without: Collection[str] = ()
) -> tuple[int, list[str]]:
    """How many windows and alerts were compared, and the differences."""
    windows = [final(current(flat(s.read(f"{n}.windows")))) for s, n in ((left, left_name), (right, right_name))]
    alerts, complaints = [], []
    for source, name in ((left, left_name), (right, right_name)):
        published, wrong = alerts_of(flat(source.read(f"{name}.alerts")), without)
        alerts.append(published)
        complaints += wrong
    found = [*complaints, *differences(windows[0], windows[1], "window"), *differences(alerts[0], alerts[1], "alert")]
    print(f"{len(windows[0])} and {len(windows[1])} final windows, {len(alerts[0])} and {len(alerts[1])} alerts")
    return min(len(windows[0]), len(windows[1])), found


def _expected(arguments: argparse.Namespace, source: Source) -> tuple[dict[SeriesWindow, Expected], set[str]]:
    if arguments.truth:
        return truth(arguments.truth), {"month", "day"}
    fields = recount.Fields(threshold=arguments.threshold)
    predictions = [recount.predictions_of(log, fields) for log in source.read(arguments.predictions)]
    labels = [recount.labels_of(log, fields) for log in source.read(arguments.labels)]
    expected: dict[SeriesWindow, Expected] = {}
    for name in arguments.window:
        params = recount.params_of(arguments, recount.window(name))
        expected |= recounted(predictions, labels, params, name)
    return expected, set(arguments.window)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.checker.windows",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bootstrap")
    parser.add_argument("--embedded", metavar="DIR")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--against", metavar="NAMESPACE")
    parser.add_argument(
        "--without", action="append", default=[], metavar="CONDITION", help="of the daemon; its alerts are not compared"
    )
    parser.add_argument("--against-bootstrap")
    parser.add_argument("--against-embedded", metavar="DIR")
    parser.add_argument("--truth", type=Path, metavar="FILE")
    parser.add_argument("--predictions", metavar="TOPIC")
    parser.add_argument("--labels", metavar="TOPIC")
    parser.add_argument("--window", action="append", default=[], help="day, month, 1d, 24h/1h; may be repeated")
    recount.add_join_arguments(parser)
    arguments = parser.parse_args(argv)
    source = open_source(arguments.bootstrap, arguments.embedded)
    if arguments.against:
        elsewhere = arguments.against_bootstrap or arguments.against_embedded
        other = open_source(arguments.against_bootstrap, arguments.against_embedded) if elsewhere else source
        compared, found = compare_namespaces(source, arguments.namespace, other, arguments.against, arguments.without)
    else:
        if not arguments.truth and not (arguments.predictions and arguments.labels and arguments.window):
            parser.error("say what to compare with: --against, --truth, or --predictions, --labels and --window")
        expected, names = _expected(arguments, source)
        windows = final(current(flat(source.read(f"{arguments.namespace}.windows"))))
        if arguments.truth:  # it speaks of whole models
            windows = {key: value for key, value in windows.items() if json.loads(value)["segment"] == "all"}
        compared, found = len(expected), against(windows, expected, names)
        print(f"{len(expected)} windows expected, {len(windows)} final windows of all kinds published")
    for line in found[:20]:
        print(line, file=sys.stderr)
    if not compared:
        print("nothing was compared", file=sys.stderr)
    print("equal" if compared and not found else f"{len(found)} differences")
    return 0 if compared and not found else 1


if __name__ == "__main__":
    raise SystemExit(main())
