"""`driftline check`."""

from __future__ import annotations

from pathlib import Path

import monitor.demo
from monitor.config import load
from monitor.telemetry import estimate_series
from tests.cli.conftest import CONFIG, Deployment
from tests.cli.driving import driftline

DEMO = Path(monitor.demo.__file__).parent / "flights.yaml"


def test_a_sound_configuration_is_summed_up(deployment: Deployment) -> None:
    checked = driftline("check", "-c", deployment.config)
    assert checked.code == 0
    assert all(text in checked.out for text in ("arrival-delay", "origin=EWR", "too-good", "accuracy < 0.99", "day"))
    assert f"{sum(estimate_series(load([deployment.config])).values()):,}" in checked.out
    assert "the configuration is sound" in checked.err
    assert "has no reference" in checked.err


def test_a_reference_is_counted_in_rows() -> None:
    checked = driftline("check", "-c", DEMO)
    assert "6,998 rows" in checked.out
    assert "has no reference" not in checked.err


def test_a_reference_of_another_model_is_said(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text((DEMO.parent / "flights.reference.json").read_text().replace("arrival-delay", "departure-delay"))
    models = f"[{{name: arrival-delay, threshold: 0.25, reference: {other}}}]"
    checked = driftline("check", "-c", DEMO, "--set", f"models={models}")
    assert checked.code == 0, checked.err
    assert "the reference of model 'arrival-delay' was built of model 'departure-delay'" in checked.err


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_made(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    taken, free = tmp_path / "file" / "rows", tmp_path / "free"
    where = ("-c", deployment.config, "--set", "state.memory_rows=1000", "--set")
    checked = driftline("check", *where, f"state.directory={taken}", "--set", f"state.snapshots={taken}")
    assert checked.code == 0, "it may be meant for another machine"
    assert f"state.directory '{taken}' cannot be written here: {tmp_path / 'file'} is no directory" in checked.err
    assert f"state.snapshots '{taken}' cannot be written here" in checked.err
    assert "here it could not do all that it says" in checked.err
    assert "cannot be written" not in driftline("check", *where, f"state.directory={free}").err
    assert not free.exists()
    ran = driftline("run", *where, f"state.directory={taken}", "--embedded", deployment.log, "--no-http")
    assert ran.code == 78, ran.err
    assert "(state.directory)" in ran.err


def test_json_has_a_stable_shape(deployment: Deployment) -> None:
    checked = driftline("check", "-c", deployment.config, "-o", "json").json
    assert set(checked) == {"ok", "problems", "config", "findings"}
    assert (checked["ok"], checked["problems"], checked["findings"]) == (True, [], None)
    config = checked["config"]
    assert config["digest"] == load([deployment.config]).digest
    assert config["series"]["total"] == sum(config["series"]["families"].values())
    assert config["models"][0]["segments"] == ["all", "origin=EWR", "origin=JFK", "origin=other"]
    assert config["rules"][0]["for_s"] == 0
    assert config["times_s"]["horizon"] == 129_600


def test_every_mistake_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(CONFIG.replace("accuracy, op", "acuracy, op").replace("tick: 1h", "tick: 1hour"))
    checked = driftline("check", "-c", bad)
    assert (checked.code, checked.out) == (78, "")
    assert f"{bad}:11:" in checked.err
    assert "tick" in checked.err
    assert "did you mean 'accuracy'?" in checked.err
    assert "2 problems" in checked.err
    document = driftline("check", "-c", bad, "-o", "json")
    assert document.code == 78
    assert document.json["ok"] is False
    assert len(document.json["problems"]) == 2


def test_a_reference_that_is_not_there_is_told_beside_the_mistakes_in_the_file(tmp_path: Path) -> None:
    text = CONFIG.replace("threshold: 0.25", "threshold: 0.25, reference: nowhere.json").replace(
        "accuracy, op", "acuracy, op"
    )
    (tmp_path / "c.yaml").write_text(text)
    checked = driftline("check", "-c", tmp_path / "c.yaml", "-o", "json")
    assert checked.code == 78
    told = "\n".join(checked.json["problems"])
    assert "models[0].reference: the file" in told
    assert "did you mean 'accuracy'?" in told


def test_everything_that_references_lack_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "flights.reference.json").write_bytes((DEMO.parent / "flights.reference.json").read_bytes())
    text = DEMO.read_text()
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines, 1) if "reference:" in line)
    (tmp_path / "c.yaml").write_text(text)
    more = (
        "--set",
        "streams.predictions.features.gate=categorical",
        "--set",
        "streams.predictions.features.hour=categorical",
    )
    checked = driftline(
        "check", "-c", tmp_path / "c.yaml", *more, "--set", "drift.pairs=[[distance, origin]]", "-o", "json"
    )
    assert checked.code == 78
    told = checked.json["problems"]
    assert len(told) == 3
    assert all(f"{tmp_path / 'c.yaml'}:{at}:" in one and ": models[0].reference: it " in one for one in told)
    for sentence in (
        "has no feature 'gate'",
        "holds 'hour' as numeric, and the stream as categorical",
        "how distance~origin go together",
    ):
        assert sentence in "\n".join(told)


def test_a_reference_of_few_rows_is_said_with_the_number_needed(deployment: Deployment, tmp_path: Path) -> None:
    made = tmp_path / "few.json"
    assert driftline("reference", "build", *deployment.where, "--first", 100, "-o", made).code == 0
    text = CONFIG.replace("threshold: 0.25", f"threshold: 0.25, reference: {made}")
    (tmp_path / "c.yaml").write_text(text)
    checked = driftline("check", "-c", tmp_path / "c.yaml")
    assert checked.code == 0, checked.err
    assert (
        "the reference of model 'arrival-delay' has 100 rows, which is few: to resolve KS shifts of 0.02 it takes 4,612"
        in (checked.err)
    )


def test_a_file_that_is_no_reference_is_a_bad_configuration(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    (tmp_path / "c.yaml").write_text(CONFIG.replace("threshold: 0.25", "threshold: 0.25, reference: r.json"))
    checked = driftline("check", "-c", tmp_path / "c.yaml")
    assert checked.code == 78
    assert "this is not a reference profile" in checked.err


def test_series_of_the_process_are_beside_the_budget(deployment: Deployment) -> None:
    series = driftline("check", "-c", deployment.config, "-o", "json").json["config"]["series"]
    assert series["total"] > series["of_models"] > 0
    checked = driftline("check", "-c", deployment.config, "--set", f"series_budget={series['of_models']}")
    assert "series_budget is" not in checked.err
    checked = driftline("check", "-c", deployment.config, "--set", f"series_budget={series['of_models'] - 1}")
    assert "series_budget is" in checked.err


def test_more_series_than_the_budget_is_said(deployment: Deployment) -> None:
    checked = driftline("check", "-c", deployment.config, "--set", "series_budget=10")
    assert checked.code == 0
    assert "series_budget is 10" in checked.err


def test_live_without_brokers_in_the_configuration_says_what_to_add(deployment: Deployment) -> None:
    checked = driftline("check", "-c", deployment.config, "--live")
    assert checked.code == 78
    assert "kafka.bootstrap_servers" in checked.err


def test_live_without_an_answer_ends_with_69(deployment: Deployment) -> None:
    nobody = ("--set", "kafka.bootstrap_servers=127.0.0.1:1")
    checked = driftline("check", "-c", deployment.config, "--live", *nobody)
    assert checked.code == 69
    assert "127.0.0.1:1" in checked.err


def test_live_tells_what_it_looked_at(deployment: Deployment) -> None:
    checked = driftline("check", *deployment.where, "--live", "-o", "json")
    assert checked.code == 0
    assert checked.json["ok"]
    assert {tuple(finding) for finding in checked.json["findings"]} == {("level", "what", "value", "hint")}
    found = {finding["what"]: finding["level"] for finding in checked.json["findings"]}
    assert found["partitions"] == "ok"
    assert found["placement of flights.predictions and flights.labels"] == "ok"
    table = driftline("check", *deployment.where, "--live")
    assert "placement of flights.predictions and flights.labels" in table.out


def test_an_error_found_live_ends_with_1(deployment: Deployment) -> None:
    checked = driftline("check", *deployment.where, "--live", "--set", "streams.labels.topic=nowhere")
    assert checked.code == 1
    assert "ERROR" in checked.out
    assert "there is no such topic" in checked.out
    assert "what it connects to is not" in checked.err


QUALITY = (
    "{features: {distance: {max: 1000, missing: {at_most: 0.1}}, carrier: {values: [UA, DL]}}, volume: {at_least: 9}}"
)


def test_a_limit_that_the_reference_itself_does_not_keep_is_a_mistake(tmp_path: Path) -> None:
    text = DEMO.read_text().replace("threshold: 0.25", f"threshold: 0.25\n    quality: {QUALITY}")
    (tmp_path / "c.yaml").write_text(text)
    (tmp_path / "flights.reference.json").write_bytes((DEMO.parent / "flights.reference.json").read_bytes())
    checked = driftline("check", "-c", tmp_path / "c.yaml", "-o", "json")
    assert checked.code == 78
    carrier, distance = sorted(checked.json["problems"], key=lambda told: told.partition(": ")[2])
    assert f"{tmp_path / 'c.yaml'}:32:" in carrier
    assert "models[0].quality.features.carrier: at least" in carrier
    assert "of the reference's own 6,998 rows are unexpected, and at most 1.00% are allowed" in carrier
    assert "models[0].quality.features.distance: at least" in distance
    assert "are out of range" in distance
    (tmp_path / "c.yaml").write_text(text.replace("max: 1000", "max: 5000").replace("[UA, DL]", "null"))
    assert driftline("check", "-c", tmp_path / "c.yaml").code == 0


def test_rules_of_quality_and_traffic_are_shown(tmp_path: Path) -> None:
    checked = driftline("check", "-c", DEMO.parent / "demo.yaml")
    assert checked.code == 0
    assert "quality:out_of_range:distance" in checked.out
    assert "arrival-delay: at least 300 predictions in each day, never none for more than 12h (page)" in checked.out
    told = driftline("check", "-c", DEMO.parent / "demo.yaml", "-o", "json").json["config"]["traffic"]
    assert told == [
        {"model": "arrival-delay", "window": "day", "at_least": 300, "silence_s": 43_200.0, "severity": "page"}
    ]


def test_what_a_budget_does_not_tell_is_said_of_losses_only(deployment: Deployment) -> None:
    def said(*more: str) -> list[str]:
        sets = [part for one in ("budget={every: 1d, learn: 90d}", *more) for part in ("--set", one)]
        checked = driftline("check", "-c", deployment.config, *sets)
        assert checked.code == 0, checked.err
        return [line[19:] for line in checked.out.splitlines() if line.startswith("power")]

    (plain,) = said("budget.materiality.performance=0")
    assert plain.startswith("a rate of errors may rise by a margin untold;")
    prices = "models=[{name: arrival-delay, task: regression, largest: 1000}]", "streams.predictions.fields.score=null"
    (numbers,) = said(*prices, "rules=[]")
    assert numbers.startswith("a share of errors beyond some size may rise by 0.01 (materiality) and a margin")
    assert numbers.endswith("driftline power -c FILE --per-day N")
    assert said("streams.labels=null", "rules=[]") == [], "without labels no loss is watched"


def test_what_watches_beside_the_rules_has_a_line_each_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "flights.reference.json").write_bytes((DEMO.parent / "flights.reference.json").read_bytes())
    (tmp_path / "more.yaml").write_text(
        """
budget: {false_pages: 2, per: 30d, every: 1d, learn: 90d, season: none}
label_feed: {slow_after: 30h}
estimates: true
explanations: true
grouping: {within: 12h}
maintenance:
  - {model: arrival-delay, from: "2013-01-05T10:00Z", until: "2013-01-05T12:00Z"}
  - {from: "2013-01-06T10:00Z", until: "2013-01-06T12:00Z"}
advisories:
  - {name: hour-ph, detector: PageHinkley, options: {threshold: 0.15}, metric: "psi:hour", window: day, severity: ticket}
"""
    )
    plain = driftline("check", "-c", DEMO)
    names = ("budget", "power", "label_feed", "estimates", "explanations", "grouping", "maintenance", "advisory")
    assert not [line for line in plain.out.splitlines() if line.startswith(names)]
    files = ("-c", DEMO, "-c", tmp_path / "more.yaml")
    checked = driftline("check", *files)
    assert checked.code == 0, checked.err
    told = {line[:19].strip(): line[19:] for line in checked.out.splitlines()}
    assert told["budget"] == ("at most 2 false alarms in 30d and model version, decided every 1d after 90d of learning")
    assert told["power"] == (
        "a rate of errors may rise by 0.01 (materiality) and a margin untold; how much that is, and how soon more is seen: "
        "driftline power -c FILE --per-day N --accuracy SHARE"
    )
    assert told["label_feed"] == (
        "slow below 50 % of the usual labels at an age of 30h; verdicts are held for 7d at most"
    )
    assert told["estimates"] == "by scores and by late labels, in every performance window"
    assert told["explanations"].startswith("of alerts of rules")
    assert told["grouping"] == "by model and feature, within 12h"
    assert told["advisory"] == "hour-ph: PageHinkley, threshold 0.15 over psi:hour in each day (ticket)"
    assert "arrival-delay: from 2013-01-05T10:00Z until 2013-01-05T12:00Z" in checked.out
    assert "every model: from 2013-01-06T10:00Z until 2013-01-06T12:00Z" in checked.out
    config = driftline("check", *files, "-o", "json").json["config"]
    assert config["budget"] == {
        "false_pages": 2, "per_s": 2_592_000.0, "every_s": 86_400.0, "learn_s": 7_776_000.0, "season": "none",
        "materiality": {"performance": 0.01, "features": 0.02, "quality": 0.0},
    }  # fmt: skip
    assert (config["label_feed"]["slow_after_s"], config["grouping"]) == (108_000.0, {"within_s": 43_200.0})
    assert [one["detector"] for one in config["advisories"]] == ["PageHinkley"]
    assert len(config["maintenance"]) == 2
