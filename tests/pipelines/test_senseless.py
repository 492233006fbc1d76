"""What a policy says that cannot be meant is refused where it is written, and stays readable where it was kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli.policies import load
from pipelines.errors import PolicyError
from pipelines.policy import Probation, senseless
from pipelines.runs import Admission, Mode, decode_admission, encode_admission
from tests.pipelines.memory import BORN_MS, policy

BASE = "models:\n  a:\n    data: {label: y, features: [x]}\n"
ELSEWHERE = '    executor: {webhook: {url: "https://x.example/y", secret_file: s}}\n'
SAME = "    alias: challenger\n    shadow: {}\n"
COMMANDS = "    train: {command: [./t], score_command: [./s]}\n"
FUNCTIONS = '    train: {function: "m:t", score_function: "m:s"}\n'


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("    probation: {least: 3d, most: 2d}\n", "line 4, a.probation: least must not be above most"),
        ("    probation: {margin: -0.1}\n", "line 4, a.probation.margin: is -0.1; write at least 0"),
        ("    probation: {margin: 1.0}\n", "less than the largest loss (1)"),
        ("    probation: {alpha: 7}\n", "line 4, a.probation.alpha: is 7; write more than 0 and less than 0.5"),
        ("    probation: {alpha: 0}\n", "a.probation.alpha: is 0;"),
        ("    probation: {rows_min: 0}\n", "a.probation.rows_min: is 0; write at least 1"),
        ("    gate: {untested_ratio_max: 2}\n", "a.gate.untested_ratio_max: is 2; write a share between 0 and 1"),
        ("    gate: {untested_ratio_max: -1}\n", "a.gate.untested_ratio_max: is -1;"),
        ("    tries_max: 0\n", "line 4, a.tries_max: is 0; write at least 1"),
        ("    probation: {every: 0s}\n", "line 4, a.probation.every: '0s' is no time at all"),
        ("    shadow: {every: 0m}\n", "line 4, a.shadow.every: '0m' is no time at all"),
        ("    trigger: {budget_runs: 0}\n", "line 4, a.trigger.budget_runs: is 0, so no run would ever begin"),
        (
            "    gate: {segments: [b, c, b, c]}\n",
            "line 4, a.gate.segments: names 'b', 'c' more than once; write each once",
        ),
        ("    trigger: {alerts: [drift, drift]}\n", "line 4, a.trigger.alerts: names 'drift' more than once"),
        ("    data: {label: y, features: [x, x, z]}\n", "line 4, a.data.features: names 'x' more than once"),
        (
            f"    gate: {{scoring: 1s}}\n{COMMANDS}{ELSEWHERE}",
            "line 4, a.gate.scoring: nobody knows how long a command took that runs elsewhere",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, written: str, sentence: str) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(BASE + written)
    with pytest.raises(PolicyError) as raised:
        load(path)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    "written",
    [
        "    probation: {least: 2d, most: 2d, margin: 0}\n",
        f"    gate: {{scoring: 1s}}\n{FUNCTIONS}{ELSEWHERE}",
        f"    gate: {{scoring: 1s}}\n{COMMANDS}    executor: {{}}\n",
        f"    gate: {{scoring: 1s}}\n{COMMANDS}",
    ],
)
def test_what_can_be_meant_is_taken(tmp_path: Path, written: str) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(BASE + written)
    assert len(load(path)[0]) == 1


@pytest.mark.parametrize(
    ("written", "told", "untold"),
    [
        (
            f"{BASE}    triger: {{}}\n    tries_max: 0\n    probation: {{alpha: 7}}\n",
            ["a.triger", "a.tries_max", "a.probation.alpha"],
            [],
        ),
        (
            f"{BASE}    probation: {{least: soon, most: 1h}}\n    tries_max: 0\n",
            ["a.probation.least", "a.tries_max"],
            ["least must not"],
        ),
        (
            f"{BASE}    gate: {{loss: x}}\n    probation: {{margin: 3}}\n    tries_max: 0\n",
            ["a.gate.loss", "a.tries_max"],
            ["a.probation"],
        ),
        (
            "models:\n  a:\n    data: {label: y}\n    tries_max: 0\n",
            ["missing required field `features`", "a.tries_max"],
            [],
        ),
        ("models:\n  a:\n    tries_max: 0\n", ["missing required field `data`", "a.tries_max: is 0"], []),
        (  # all of one section, of all sections
            f"{BASE}    foo: 1\n    approvals: 0\n    labels: censored\n    promote: auto\n",
            ["a.foo: unknown field", "line 7, a.promote: labels: censored forbids promote: auto"],
            ["at least one approval"],
        ),
        (
            f"{BASE}    foo: 1\n    approvals: 0\n",
            ["a.foo: unknown field", "line 5, a.approvals: promote: approve needs"],
            [],
        ),
        (
            f"{BASE}    shadow: {{alias: champion, most: 91d, evry: 1h, rows_min: 0}}\n    run: soon\n",
            ["shadow.evry", "another name than 'champion'", "above data.window", "a.shadow.rows_min", "a.run: 'soon'"],
            [],
        ),
        (
            f"{BASE}    gate: {{alpha: 2, margin: x, segment_margin: 0, loss: {{bound: -1}}, flips_ratio_max: 3, alpa: 1}}\n",
            [
                "a.gate.alpha: alpha (2",
                "a.gate.margin: Expected",
                "a.gate.loss.bound: bound (-1",
                "a.gate.flips",
                "gate.alpa",
            ],
            ["a.gate.margin: margin"],
        ),
        (
            "models:\n  a:\n    data: {label: y, features: [y], test_ratio: 1.5, checks: {h: {min: 2, max: 1, mx: 0}}}\n",
            [
                "never the label",
                "a.data.test_ratio",
                "a.data.checks.h.min: min (2) is above",
                "a.data.checks.h.mx: unknown",
            ],
            [],
        ),
        (
            f'{BASE}    executor: {{webhook: {{url: "there", secret_file: s, answer: 2m, anser: 1m}}}}\n{SAME}',
            ["a.executor.webhook.url: url is 'there'", "at most 1m", "webhook.anser", "another name than 'challenger'"],
            [],
        ),
        ("models:\n  a: 7\n", ["is 7"], []),
    ],
)
def test_sections_without_a_mistake_are_judged_at_once(
    tmp_path: Path, written: str, told: list[str], untold: list[str]
) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(written)
    with pytest.raises(PolicyError) as raised:
        load(path)
    assert [part for part in told if part not in str(raised.value)] == []
    assert [part for part in untold if part in str(raised.value)] == []


def test_every_mistake_of_one_policy_is_said_at_once() -> None:
    odd = policy(probation=Probation(margin=-1.0, alpha=1.0, rows_min=0), tries_max=0)
    assert [each.at for each in senseless(odd)] == [
        "probation.margin", "probation.alpha", "probation.rows_min", "tries_max",
    ]  # fmt: skip


def test_one_that_a_store_kept_before_is_still_read() -> None:
    odd = policy(probation=Probation(least_ms=9, most_ms=8, rows_min=0), tries_max=0)
    kept = Admission(1, 1, None, "r" * 32, "fraud", Mode.FULL, (), 0.05, odd, "w", "why", BORN_MS)
    assert decode_admission(encode_admission(kept), "an entry") == kept
