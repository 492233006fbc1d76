"""What a terminal of eighty columns shows of the same backtest."""

from __future__ import annotations

import pytest

from monitor.cli import backtest_show
from monitor.cli.show import minute
from tests.report.conftest import Report


def test_tables_fit_a_terminal_of_eighty_columns(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    document = report.json
    backtest_show.say(document, "table", None)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for title in (
        "What would have been told",
        "Known incidents",
        "What the other configuration",
        "With other values of",
    ):
        assert title in out
    for alert in document["first"]["alerts"]:
        assert minute(alert["fired_ms"]) in out


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (0, "0s"),
        (1_500, "1.5s"),
        (720_000, "12m"),
        (5 * 3_600_000, "5h"),
        (90 * 60_000, "1h 30m"),
        (1_807_200_000, "20d 22h"),
    ],
)
def test_how_long_an_alert_stood_is_told_in_two_units(ms: int, told: str) -> None:
    assert backtest_show._long(ms) == told
