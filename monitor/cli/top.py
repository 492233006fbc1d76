"""The command `driftline top`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import output_option
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.view import View

_PATH = "/api/v1/status"


@click.command("top")
@click.option("--url", default="http://127.0.0.1:9187", show_default=True, help="Where a daemon listens.")
@click.option("--every", default=1.0, show_default=True, type=click.FloatRange(min=0.2), help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Print once and exit; JSON is always printed once.")
@click.option(
    "--token-file", type=click.Path(dir_okay=False), help="File with the daemon's token, as its http.token_file."
)
@output_option
def command(url: str, every: float, once: bool, token_file: str | None, output: str) -> None:
    """Watch a running daemon: models, metrics with intervals, coverage, lag, alerts.

    JSON is the status as the daemon serves it under /api/v1/status. Exit code 69 when no daemon answers.

    \b
    Examples:
      driftline top
      driftline top --url http://worker-3:9187 --once
      driftline top -o json | jq .alerts
    """
    import sys

    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url {url!r} is no address; write http://HOST:PORT")
    if output == "json":
        data = _fetch(url, token_file)
        _read(data, url)
        click.echo(data)
        return
    if once or not sys.stdout.isatty():
        from monitor.cli.show import console

        console().print(_picture(_read(_fetch(url, token_file), url)))
        return
    _watch(url, every, token_file)


def _watch(url: str, every: float, token_file: str | None) -> None:
    """Redraw until it is stopped. A daemon that does not answer for a while is said, not fatal: it may be restarting."""
    from rich.console import Console, Group
    from rich.live import Live

    picture: Any = _picture(_read(_fetch(url, token_file), url))
    with Live(picture, console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            try:
                picture = _picture(_read(_fetch(url, token_file), url))
                live.update(picture, refresh=True)
            except MonitorError as error:
                live.update(Group(str(error), "", picture), refresh=True)


def _fetch(url: str, token_file: str | None) -> bytes:
    from monitor.adapters.http_asking import ask

    answer = ask(url, _PATH, token_file)
    if answer.code != 200:
        why = f"it answers {answer.code}"
        if answer.code == 401:
            why = (
                "it wants its token (--token-file)"
                if token_file is None
                else f"the token in {token_file} is not its own"
            )
        raise MonitorError(f"the daemon at {url} tells nothing: {why}")
    return answer.body


def _read(data: bytes, url: str) -> View:
    from monitor.view import decode

    try:
        return decode(data)
    except ValueError as error:
        raise MonitorError(f"what {url} answers is not understood: {error}") from error


def _picture(view: View) -> Any:
    from monitor.cli.render import status_table

    return status_table(view)
