"""The command `driftline top`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import output_option
from monitor.errors import LogUnreachable, MonitorError

if TYPE_CHECKING:
    from monitor.view import View

_PATH = "/api/v1/status"
_TIMEOUT_S = 5.0
_LARGEST = 64 << 20


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
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from monitor.adapters.http_token import bearer

    headers = bearer(token_file) if token_file is not None else {}
    try:
        # The scheme was checked by the command: only http and https get here.
        with urlopen(Request(url.rstrip("/") + _PATH, headers=headers), timeout=_TIMEOUT_S) as answer:  # noqa: S310
            data = answer.read(_LARGEST)
    except HTTPError as error:
        with error:
            why = "it wants its token (--token-file)" if error.code == 401 else f"it answers {error.code}"
        raise MonitorError(f"the daemon at {url} tells nothing: {why}") from error
    except (OSError, ValueError) as error:
        raise LogUnreachable(
            f"no daemon answers at {url}: {_why(error)}. Is `driftline run` up, and is this its "
            "http.host and http.port? With http.port 0 it says its address at the start."
        ) from error
    assert isinstance(data, bytes)
    return data


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def _read(data: bytes, url: str) -> View:
    from monitor.view import decode

    try:
        return decode(data)
    except ValueError as error:
        raise MonitorError(f"what {url} answers is not understood: {error}") from error


def _picture(view: View) -> Any:
    from monitor.cli.render import status_table

    return status_table(view)
