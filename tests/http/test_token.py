"""Who may read: the token, what is open without it, its rotation, and that it stands nowhere."""

from __future__ import annotations

import logging
import os
import resource
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from monitor.adapters.exposition import Exposer
from monitor.adapters.http import HttpServer
from monitor.adapters.http_answers import ASSETS, Snapshot
from monitor.adapters.http_token import TokenFile, TokenFileError
from monitor.config import load
from monitor.config.render import render
from monitor.readiness import readiness
from monitor.view import encode
from tests.cli.driving import driftline
from tests.config.examples import MINIMAL
from tests.http.test_http import ask
from tests.telemetry.samples import sample_view

CANARY = "canary-7f3a9c51d2e84b60"
CLOSED = ("/metrics", "/api/v1/status", "/api/v1/history")
OPEN = ("/livez", "/-/healthy", "/readyz", "/-/ready", "/", "/api/v1/openapi.json", *(f"/ui/{name}" for name in ASSETS))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{CANARY}\n")
    return path


@pytest.fixture
def server(file: Path) -> Iterator[HttpServer]:
    view = sample_view()
    snapshot = Snapshot(Exposer().render(view), encode(view), readiness(view))
    server = HttpServer("127.0.0.1", 0, lambda: snapshot, lambda: 0, token=TokenFile(str(file)))
    server.start()
    yield server
    server.stop()


def code(server: HttpServer, path: str, authorization: str | None) -> int:
    return ask(server, path, {} if authorization is None else {"Authorization": authorization}).status


@pytest.mark.parametrize("path", CLOSED)
def test_numbers_want_the_token(server: HttpServer, path: str) -> None:
    assert code(server, f"{path}/", None) == code(server, f"{path}%0a", None) == code(server, f"/{path}", None) == 401
    wrong = (None, "", "Bearer", f"Bearer {CANARY}x", f"Bearer {CANARY[:-1]}", f"Basic {CANARY}", CANARY)
    assert {code(server, path, given) for given in wrong} == {401}
    assert ask(server, path).headers["www-authenticate"] == 'Bearer realm="driftline"'
    assert (code(server, path, f"Bearer {CANARY}"), code(server, path, f"bearer {CANARY}")) == (200, 200)


def test_who_leaves_out_the_last_slash_of_the_page_needs_no_token_to_be_told(server: HttpServer) -> None:
    assert code(server, "/ui", None) == 308


@pytest.mark.parametrize("path", OPEN)
def test_probes_the_description_and_the_files_of_the_page_want_none(server: HttpServer, path: str) -> None:
    assert code(server, path, None) == 200


def test_the_details_of_readiness_are_for_who_may_read(server: HttpServer) -> None:
    assert ask(server, "/readyz?verbose").body == b"ok\n"
    assert b"[+] loop" in ask(server, "/readyz?verbose", {"Authorization": f"Bearer {CANARY}"}).body


def test_a_new_token_holds_at_once_and_shuts_out_the_one_before(server: HttpServer, file: Path) -> None:
    file.with_name("next").write_text("another-token-of-32-characters--")
    file.with_name("next").replace(file)
    assert code(server, "/metrics", f"Bearer {CANARY}") == 401
    assert code(server, "/metrics", "Bearer another-token-of-32-characters--") == 200


@pytest.mark.parametrize("broken", [None, "", "short", "two words of sixteen", "no-ascii-\u00fc-0123456789"])
def test_a_broken_file_leaves_the_token_as_it_was_and_is_warned_of_once(
    server: HttpServer, file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file.unlink() if broken is None else file.write_text(broken)
    with caplog.at_level(logging.WARNING):
        assert [code(server, "/metrics", f"Bearer {CANARY}") for _ in range(3)] == [200] * 3
    assert len(caplog.records) == 1
    assert "Until then the token before it goes on" in caplog.text


def test_a_new_token_holds_though_the_file_looks_as_old_and_as_long_as_the_one_before(file: Path) -> None:
    token, before = TokenFile(str(file)), file.stat()
    file.write_text(f"{CANARY[::-1]}\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert token.admits(f"Bearer {CANARY[::-1]}")
    assert not token.admits(f"Bearer {CANARY}")


def test_a_file_that_could_not_be_opened_for_a_moment_is_tried_again(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, (soft, hard) = TokenFile(str(file)), resource.getrlimit(resource.RLIMIT_NOFILE)
    file.write_text(f"{CANARY[::-1]}\n")
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))  # too many open files: a thing that passes
    try:
        assert [token.admits(f"Bearer {CANARY}") for _ in range(3)] == [True] * 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(caplog.records) == 1
    assert token.admits(f"Bearer {CANARY[::-1]}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        ("short", "is no token"),
        ("a b" * 9, "is no token"),
        ("\u00fc" * 20, "is not plain ASCII"),
    ],
)
def test_at_the_start_a_broken_file_is_an_error_that_says_what_to_do(
    tmp_path: Path, text: str | None, why: str
) -> None:
    path = tmp_path / "t"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TokenFileError, match=why) as error:
        TokenFile(str(path))
    assert "openssl rand -hex 32" in str(error.value)
    assert text is None or not text or text not in str(error.value)


def test_the_token_is_in_no_answer_log_or_configuration_that_is_shown(
    server: HttpServer, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        for path in (*CLOSED, *OPEN, "/nothing", "/api/v1/history?no=1"):
            for given in ({}, {"Authorization": f"Bearer {CANARY}"}, {"Authorization": f"Bearer {CANARY}x"}):
                answer = ask(server, path, given)
                assert CANARY not in answer.body.decode() + str(answer.headers)
        file.write_text("short")
        ask(server, "/metrics", {"Authorization": f"Bearer {CANARY}"})
    (tmp_path / "c.yaml").write_text(f"{MINIMAL}http: {{token_file: token}}\n")
    config = load([tmp_path / "c.yaml"])
    printed = capfd.readouterr()
    assert CANARY not in caplog.text + printed.out + printed.err + render(config) + config.document() + repr(config)


def test_the_file_is_beside_the_configuration_and_documents_have_it_as_written(file: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"{MINIMAL}http: {{token_file: token}}\n")
    config = load([tmp_path / "c.yaml"])
    assert config.http.token_path == str(file)
    assert (config.http.token_file, str(tmp_path) in config.document()) == ("token", False)
    elsewhere = load([tmp_path / "c.yaml"], ["http.token_file=/run/token"])
    assert elsewhere.http.token_path == "/run/token"
    (tmp_path / "n.yaml").write_text(f"{MINIMAL}http: {{token_file: null}}\n")
    assert load([tmp_path / "n.yaml"]).http.token_path is None


def test_check_refuses_a_token_that_is_none_with_the_code_of_a_bad_configuration(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"{MINIMAL}http: {{port: 0, token_file: token}}\n")
    told = driftline("check", "-c", config)
    assert told.code == 78
    assert f"{config}:{MINIMAL.count(chr(10)) + 1}:" in told.err
    assert f"http.token_file: the token file '{tmp_path / 'token'}' cannot be read" in told.err
    (tmp_path / "token").write_text(CANARY)
    assert driftline("check", "-c", config).code == 0


def test_the_terminal_sends_the_token(server: HttpServer, file: Path) -> None:
    refused = driftline("top", "--url", server.url, "--once")
    assert (refused.code, refused.out) == (1, "")
    assert "it wants its token (--token-file)" in refused.err
    wrong = file.with_name("wrong")
    wrong.write_text(f"{CANARY}x")
    assert f"the token in {wrong} is not its own" in driftline("top", "--url", server.url, "--token-file", wrong).err
    assert driftline("top", "--url", server.url, "--once", "--token-file", file).code == 0
    assert CANARY not in driftline("top", "--url", server.url, "-o", "json", "--token-file", file).out


def test_the_token_does_not_follow_a_redirect(file: Path) -> None:
    heard: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{other.server_port}/caught")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        told = driftline("top", "--url", f"http://127.0.0.1:{other.server_port}", "--once", "--token-file", file)
        other.shutdown()
    assert (told.code, heard) == (1, [f"/api/v1/status Bearer {CANARY}"])
    assert "it answers 302" in told.err


def test_what_does_not_speak_http_is_no_daemon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def answer() -> None:
            with odd.accept()[0] as connection:
                connection.recv(1_000)
                connection.sendall(b"\x00\x00 not http\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        told = driftline("top", "--url", f"http://127.0.0.1:{odd.getsockname()[1]}", "--once")
    assert told.code == 69
    assert "no daemon answers at" in told.err
