"""The page put together: one HTML text with its styles, its scripts and the policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shlex
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from monitor.cli.report import sections
from monitor.cli.report.charts import Charts
from monitor.cli.report.nodes import NOTHING, At, heading_rules, most_columns, words

WITHOUT_CHARTS = "There are no charts: <code>pip install 'driftline[ui]'</code> brings plotly, which draws them."


def has_plotly() -> bool:
    """Whether charts can be drawn here."""
    return importlib.util.find_spec("plotly") is not None


def render(document: Mapping[str, Any], *, charts: bool) -> str:
    """The page of a report. `charts`: with plotly.js and figures, which plotly must be installed for."""
    at, drawn = At(document), Charts(charts)
    parts = _sections(at, drawn)
    body = "".join(sections.section(name, title, text) for name, title, text in parts)
    links = "".join(f'<li><a href="#{name}">{words(title)}</a></li>' for name, title, text in parts if text)
    note = "" if charts else f'<p class="warn">{WITHOUT_CHARTS} The tables have it all.</p>'
    scripts = _scripts(drawn) if drawn.figures else ("", "")
    style = _file("page.css").replace("/* headings */", heading_rules(most_columns(body)))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts[1])}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{_title(at)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
{_head(at)}{note}
{_without_scripts() if charts else ""}<nav aria-label="Sections"><ul>{links}</ul></nav>
{body}</main>
{scripts[0]}</body>
</html>
"""


def _sections(at: At, charts: Charts) -> list[tuple[str, str, str]]:
    """(anchor, title, HTML) of each; those without HTML are left out."""
    names = [name for name in ("first", "second") if name in at.value]
    runs = [(name, at[name], "" if len(names) == 1 else f", {name} configuration") for name in names]
    found = [
        ("summary", "What would have been told", sections.summary([run for _, run, _ in runs])),
        ("gates", "Gates", sections.gates(at)),
        ("differences", f"What the second {_compared(at)} changes", sections.differences(at)),
        ("sweep", "With other values of the rules", sections.sweep(at, charts)),
    ]
    for name, run, which in runs:
        found += [
            (f"{name}-metrics", f"Performance{which}", sections.windows(run, "performance", charts)),
            (f"{name}-alerts", f"Alerts{which}", sections.alerts(run)),
            (f"{name}-incidents", f"Incidents{which}", sections.incidents(run)),
        ]
    for name, run, which in runs:
        for part, title, draw in _INPUTS:
            if name == "second" and _of(part, run) and _of(part, at["first"]) == _of(part, run):
                body = "<p>As of the first configuration: nothing differs.</p>\n"
            else:
                body = draw(run, charts)
            found.append((f"{name}-{part}", f"{title(run)}{which}", body))
    sources = "".join(sections.sources(name, at[name]) for name in names)
    return [*found, ("sources", "Where it comes from", _command(at) + sources)]


_INPUTS: tuple[tuple[str, Callable[[At], str], Callable[[At, Charts], str]], ...] = (
    ("drift", sections.title_of_inputs, lambda run, charts: sections.windows(run, "input", charts)),
    ("distributions", lambda _: "Reference and current", sections.distributions),
    ("delays", lambda _: "Label delay", sections.delays),
    ("outcomes", lambda _: "What became of the records", lambda run, _: sections.outcomes(run)),
)
"""What does not depend on rules, which mostly is the same in both configurations and then stands on the page once."""


def _of(part: str, run: At) -> Any:
    """What a section of `_INPUTS` shows."""
    if part == "drift":
        return [own for own in run.value["series"] if own["kind"] == "input"]
    return [run.value[name] for name in ("records", "outcomes", "lost")] if part == "outcomes" else run.value[part]


def _compared(at: At) -> str:
    return "version" if "versions" in at.value else "configuration"


def _title(at: At) -> str:
    return f"Backtest of {words(at['first']['namespace'].value)}"


def _without_scripts() -> str:
    note = '<p class="warn">Charts need scripts, which are off here. The tables have it all.</p>'
    return f"<noscript><style>.chart {{ display: none; }}</style>{note}</noscript>\n"


def _head(at: At) -> str:
    first = at["first"]
    span = (
        f"{first['begin_ms'].show('minute')} to {first['end_ms'].show('minute')} UTC"
        if first.has("begin_ms")
        else NOTHING
    )
    failed = at["gates"]["failed"].value
    verdict = '<p class="warn">A gate holds, or could not be judged: this backtest fails.</p>\n' if failed else ""
    return f"<h1>Backtest of {first['namespace'].show()}</h1>\n<p>Event time {span}.</p>\n{verdict}"


def _command(at: At) -> str:
    line = shlex.join(at["command"].value)
    return f'<p>Made by driftline {at["made_by"].show()}:</p>\n<pre id="command">{words(line)}</pre>\n'


# -- scripts ---------------------------------------------------------------------------------------------------------


def _scripts(charts: Charts) -> tuple[str, list[str]]:
    """The scripts as HTML, and the text of those that may run."""
    import orjson
    from plotly.offline import get_plotlyjs

    # Nothing in a script element is decoded but the end of the element: no `<` may be left in what comes from data.
    figures = orjson.dumps(charts.figures).decode().replace("<", "\\u003c")
    run = [f"\n{get_plotlyjs()}\n", f"\n{_file('page.js')}"]
    data = f'<script type="application/json" id="figures">{figures}</script>\n'
    return data + "".join(f"<script>{text}</script>\n" for text in run), run


def _policy(scripts: list[str] | str) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    rules = ("default-src 'none'", "img-src data: blob:", "style-src 'unsafe-inline'", f"script-src {allowed}")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def _file(name: str) -> str:
    return files("monitor.cli.report").joinpath(name).read_text("utf-8")
