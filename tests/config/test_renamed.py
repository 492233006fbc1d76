"""Keys and flags that were renamed: the old name is taken for a stated time and told once, then refused; what is kept is read for
ever.

The table is empty as long as nothing was renamed: the entries are made up, of keys that there are.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.cli import renamed as renamed_flags
from monitor.cli.app import cli
from monitor.cli.renamed import RENAMED_FLAGS, RenamedFlag, with_new_flags
from monitor.config import Config, loads, recorded, renamed
from monitor.config.renamed import RENAMED, Renamed
from monitor.config.walk import field_at
from monitor.daemon.counted import alone
from monitor.daemon.generations import Known
from monitor.daemon.reload import Reloads
from monitor.errors import ConfigError
from monitor.plan import plan_of
from tests.adapters.memory import ManualClock
from tests.config.examples import MINIMAL, only_problem, with_lines
from tests.simulation.reloading import Files

LEAST = Renamed(("rules", "*", "least"), ("rules", "*", "min_rows"), "0.7.0", "0.9.0")
BATCH = Renamed(("batch_rows",), ("state", "max_batch_rows"), "0.7.0", "0.9.0")
_OF_FEATURES = ("models", "*", "quality", "features", "*")
LIMITS = Renamed((*_OF_FEATURES, "minimum"), (*_OF_FEATURES, "min"), "0.7.0", "0.9.0")
OLD = with_lines(MINIMAL, "batch_rows: 70")
LABELS = "  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}\nmodels:"
RULES = with_lines(
    MINIMAL.replace("models:", LABELS),
    "rules:",
    '  - {name: one, metric: accuracy, op: "<", threshold: 0.5, window: 1d, min_rows: 5}',
    '  - {name: two, metric: accuracy, op: "<", threshold: 0.5, window: 1d, least: 7}',
)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renamed, "RENAMED", (LEAST, BATCH))


def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    over = (Renamed(each.old, each.new, each.since, each.until, accepted=False) for each in (LEAST, BATCH))
    monkeypatch.setattr(renamed, "RENAMED", tuple(over))


def test_the_old_name_means_the_new_one_and_is_told_with_place_name_and_end() -> None:
    config = loads(OLD)
    assert config.state.max_batch_rows == 70
    (told,) = config.old_names
    line = OLD.splitlines().index("batch_rows: 70") + 1
    assert str(told) == (
        f"config.yaml:{line}:13: batch_rows is called state.max_batch_rows since Driftline 0.7.0: write that; batch_rows is "
        "accepted until 0.9.0"
    )


def test_a_key_of_each_item_of_a_list_is_found_in_that_item() -> None:
    config = loads(RULES)
    assert [rule.min_rows for rule in config.rules] == [5, 7]
    assert [(told.old, told.new) for told in config.old_names] == [("rules[1].least", "rules[1].min_rows")]


def test_what_is_written_in_old_names_is_the_same_configuration() -> None:
    new = loads(with_lines(MINIMAL, "state: {max_batch_rows: 70}"))
    assert loads(OLD).document() == new.document()
    assert new.old_names == ()


def test_a_mistake_in_the_value_is_told_where_it_was_written_under_the_name_to_be_written() -> None:
    text = OLD.replace("batch_rows: 70", "batch_rows: many")
    line = text.splitlines().index("batch_rows: many") + 1
    with pytest.raises(ConfigError) as refused:
        loads(text)
    (problem,) = refused.value.problems
    assert problem.startswith(f"config.yaml:{line}:13: state.max_batch_rows: ")


def test_both_names_in_files_are_a_mistake() -> None:
    text = with_lines(OLD, "state: {max_batch_rows: 80}")
    assert "keep state.max_batch_rows" in only_problem(text)


@pytest.mark.parametrize(("overrides", "rows"), [(["state.max_batch_rows=80"], 80), (["batch_rows=90"], 90)])
def test_an_override_wins_under_either_name(overrides: list[str], rows: int) -> None:
    text = OLD if "state." in overrides[0] else with_lines(MINIMAL, "state: {max_batch_rows: 80}")
    assert loads(text, overrides).state.max_batch_rows == rows
    assert [told.old for told in loads(text, overrides).old_names] == ["batch_rows"]


def test_the_environment_may_use_the_old_name() -> None:
    config = loads(MINIMAL, environ={"DRIFTLINE__BATCH_ROWS": "60"})
    assert config.state.max_batch_rows == 60
    assert str(config.old_names[0]).startswith(
        "environment variable DRIFTLINE__BATCH_ROWS: batch_rows is called state.max_batch_rows"
    )


def test_at_its_end_the_old_name_is_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    ended(monkeypatch)
    problem = only_problem(OLD)
    assert "batch_rows is called state.max_batch_rows since Driftline 0.7.0 and is not accepted any more" in problem


def test_what_a_namespace_keeps_is_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    document = loads(with_lines(MINIMAL, "state: {max_batch_rows: 70}")).document()
    old = document.replace('"max_batch_rows":70,', "").replace('{"', '{"batch_rows":70,"', 1)
    assert '"batch_rows":70' in old
    ended(monkeypatch)
    assert recorded(old.encode()).document() == document


def test_keys_of_keys_are_found_at_every_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renamed, "RENAMED", (LIMITS,))
    text = MINIMAL.replace("score: $.score}", "score: $.score}\n    features: {age: numeric}").replace(
        "{name: fraud}", "{name: fraud, quality: {features: {age: {minimum: 0}}}}"
    )
    config = loads(text)
    quality = config.models[0].quality
    assert quality is not None
    assert quality.features["age"].min == 0
    assert [told.old for told in config.old_names] == ["models[0].quality.features.age.minimum"]


def test_check_warns_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    done = CliRunner().invoke(cli, ["check", "-c", str(tmp_path / "old.yaml"), "-o", "json"])
    assert done.exit_code == 0
    assert '"batch_rows is called state.max_batch_rows' in re.sub(r'"[^"]*yaml:\d+:\d+: ', '"', done.stdout)
    assert done.stderr.count("batch_rows is called") == 1


def test_other_commands_tell_a_person_once(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    done = CliRunner().invoke(cli, ["config", "show", "-c", str(tmp_path / "old.yaml")])
    assert done.exit_code == 0
    assert done.stderr.count("batch_rows is called state.max_batch_rows") == 1
    assert "batch_rows: 70" in done.stdout
    assert "\nbatch_rows" not in done.stdout


def test_a_running_worker_logs_an_old_name_once_however_often_it_reads(caplog: pytest.LogCaptureFixture) -> None:
    clock, files = ManualClock(), Files(MINIMAL)
    reloads = Reloads(files, files.fingerprint(), clock)
    known, by = Known(loads(MINIMAL), 0), alone(loads(MINIMAL), plan_of(loads(MINIMAL)))
    for text in (OLD, with_lines(OLD, "labels: {team: a}"), with_lines(OLD, "labels: {team: b}")):
        files.content = text.replace("batch_rows: 70", "batch_rows: 50000")
        reloads.ask()
        known = reloads.look(known, clock.now_ms(), by) or known
    assert known.config.labels == {"team": "b"}
    assert caplog.text.count("batch_rows is called state.max_batch_rows") == 1


# -- flags -----------------------------------------------------------------------------------------------------------

FLAG = RenamedFlag("config show", "--all", "--defaults", "0.7.0", "0.9.0")


def test_a_flag_is_taken_under_its_old_name_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new.yaml").write_text(MINIMAL)
    flag = RenamedFlag("config show", "--file", "--config", "0.7.0", "0.9.0")
    monkeypatch.setattr(renamed_flags, "RENAMED_FLAGS", (flag,))
    done = CliRunner().invoke(cli, ["config", "show", f"--file={tmp_path / 'new.yaml'}"])
    assert done.exit_code == 0, done.output
    assert f"{flag}" in done.stderr
    assert str(flag).endswith(
        "--file is called --config since Driftline 0.7.0: write that; --file is accepted until 0.9.0"
    )


def test_at_its_end_a_flag_is_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    over = RenamedFlag("config show", "--file", "--config", "0.7.0", "0.9.0", accepted=False)
    monkeypatch.setattr(renamed_flags, "RENAMED_FLAGS", (over,))
    done = CliRunner().invoke(cli, ["config", "show", "--file", "x.yaml"])
    assert done.exit_code == 2
    assert "--file is called --config since Driftline 0.7.0: write that; --file is not accepted any more" in done.stderr


@pytest.mark.parametrize(
    ("args", "made"),
    [
        (["config", "show", "--all"], ["config", "show", "--defaults"]),
        (["config", "show", "--all=1", "--all"], ["config", "show", "--defaults=1", "--defaults"]),
        (["config", "show", "--", "--all"], ["config", "show", "--", "--all"]),
        (["config", "diff", "--all"], ["config", "diff", "--all"]),
        (["show", "--all"], ["show", "--all"]),
    ],
)
def test_only_flags_of_its_command_are_renamed(args: list[str], made: list[str]) -> None:
    found, told = with_new_flags(args, (FLAG,))
    assert found == made
    assert told == ([FLAG] if found != args else [])


# -- the tables that ship --------------------------------------------------------------------------------------------


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def test_no_entry_is_accepted_beyond_its_end_or_refused_before() -> None:
    entries: list[Renamed | RenamedFlag] = [*RENAMED, *RENAMED_FLAGS]
    for each in entries:
        assert each.accepted == (_number(version("driftline")) < _number(each.until)), each
        assert _number(each.since) < _number(each.until), each


def _item(path: tuple[str, ...], at: int) -> str | int:
    """A step of a path in which any item stands for each: a place in a list, a name in a mapping."""
    if path[at] != "*":
        return path[at]
    return 0 if path[at - 1] in ("models", "rules", "advisories", "windows") else "age"


def test_every_new_name_is_a_key_and_no_old_one_is() -> None:
    for each in (*RENAMED, LEAST, BATCH, LIMITS):
        new, old = (tuple(_item(path, n) for n in range(len(path))) for path in (each.new, each.old))
        assert field_at(new) is not None, each
        assert field_at(old) is None, each
        assert each.old.count("*") == each.new.count("*"), each


def test_a_config_made_by_hand_has_no_old_names() -> None:
    assert Config.model_validate(loads(MINIMAL).model_dump(by_alias=True)).old_names == ()
