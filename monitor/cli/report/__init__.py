"""The report of a backtest: one HTML page that needs nothing else, and the same in forms for machines.

    document (monitor.backtest.report) ──► FILE.json
                                      └──► page: sections of tables, charts where plotly is there ──► FILE.html
    final windows ──► FILE.openmetrics

What it does: renders. Every number and every name on the page is looked up in the document through `nodes.At`, which
writes beside it where in FILE.json it stands; charts say the same of their data. So the page cannot say what the JSON
does not, and a test holds each against the other.

What it refuses: to load anything. The page's own policy (Content-Security-Policy) forbids every request, and every script
but the three it was written with; what comes from data is escaped on top of that.

Who uses it: `driftline backtest --report`. Everything can be read without scripts, and printed; only charts need them.
"""
