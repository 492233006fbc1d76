"""The commands on a real broker, on two topics with field names nobody has seen: from nothing to a right number."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.cli.driving import driftline
from tests.kafka.broker import Kafka
from tests.kafka.fixtures import FreshTopics

START_S = 1_700_000_000


def _write(folder: Path) -> tuple[Path, Path, dict[str, int]]:
    """Invented loan decisions, their truth some hours later, and what a recount gives."""
    draw = random.Random(7)
    decisions, repayments = [], []
    counts = dict.fromkeys(("seen", "labelled", "tp", "fp", "fn", "tn"), 0)
    for number in range(1_500):
        at = START_S + number * 60
        bad = draw.random() < 0.3
        risk = round(min(0.99, max(0.01, draw.gauss(0.7 if bad else 0.35, 0.2))), 4)
        loan = f"L-{number:06d}"
        body = {"amount": draw.randint(500, 20_000), "region": draw.choice(["north", "south", "west"])}
        decisions.append({"loan": loan, "scorer": "risk-v7", "decided_at": at, "risk": risk, "body": body})
        counts["seen"] += 1
        if draw.random() < 0.9:
            repayments.append((at + draw.randint(600, 20_000), loan, bad))
            counts["labelled"] += 1
            counts[("t" if (risk >= 0.5) == bad else "f") + ("p" if risk >= 0.5 else "n")] += 1
    lines = [{"loan": loan, "known_at": at, "defaulted": int(bad)} for at, loan, bad in sorted(repayments)]
    paths = folder / "decisions.jsonl", folder / "repayments.jsonl"
    for path, records in zip(paths, (decisions, lines), strict=True):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return *paths, counts


def test_two_unseen_topics_become_a_right_number(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path) -> None:
    decisions, repayments, counts = _write(tmp_path)
    predictions, labels = fresh_topics("decisions"), fresh_topics("repayments")
    config, at = tmp_path / "driftline.yaml", ("--bootstrap", kafka.bootstrap_servers)
    for topic, path in ((predictions, decisions), (labels, repayments)):
        sent = driftline("produce", topic, path, *at, "--key", "loan", "--partitions", 3, "-q")
        assert sent.code == 0, sent.err
    asked = ("--from-topic", predictions, "--labels", labels, "--namespace", fresh_topics.namespace)
    proposed = driftline("init", *asked, *at, "-o", config)
    assert proposed.code == 0, proposed.err
    checked = driftline("check", "-c", config, "--live", "-o", "json")
    assert checked.code == 0, checked.out
    assert checked.json["ok"]
    ran = driftline("run", "-c", config, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    windows = driftline("windows", "-c", config, "--window", "1d", "-o", "json").json["windows"]
    found = {name: sum(window["counts"][name] for window in windows) for name in counts}
    assert found == counts
    audit = driftline("ledger", "audit", "-c", config, "-o", "json")
    assert audit.json["holds"]
    reference = driftline("reference", "build", "-c", config, "--first", 600, "-o", tmp_path / "r.json")
    assert reference.code == 0, reference.err
    assert driftline("reference", "show", tmp_path / "r.json", "-o", "json").json["rows"] == 600
