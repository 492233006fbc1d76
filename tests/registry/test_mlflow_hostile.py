"""What an MLflow server could say to do harm: nonsense, without end, much out of little, the credentials it was shown."""

from __future__ import annotations

import itertools
import json
from itertools import pairwise
from pathlib import Path

import pytest

from registry.errors import SourceError
from registry.mlflow import Described, Metric, described, measured
from registry.mlflow_server import Credentials, MlflowServer
from tests.registry.mlflow import Answer, FakeMlflow
from tests.registry.test_mlflow import Desk, bundle, fake, filled

__all__ = ["fake"]


@pytest.mark.parametrize(
    ("asked", "said", "told"),
    [
        ("artifacts?path", b'{"files": [{"path": "a.onnx", "file_size": "many"}]}', "Expected `int`, got `str`"),
        ("artifacts?path", b'{"files": [{"path": "a.onnx", "file_size": -1}]}', "Expected `int` >= 0"),
        ("artifacts?path", b'{"files": [{"path": "a.onnx", "file_size": 1e999}]}', "Expected `int`, got `float`"),
        ("artifacts?path", b'{"files": [[]]}', "Expected `object`, got `array`"),
        ("runs/get", b'{"run": []}', "Expected `object`, got `array`"),
        ("registered-models", b"[" * 200_000, "answered no JSON"),
        ("registered-models", b'{"a": "\xff"}', "answered no JSON"),
        ("model-versions/search", b'{"model_versions": [{"name": "fraud", "version": "%s"}]}' % (b"9" * 5_000), "999'"),
        (
            "model-versions/search",
            b'{"model_versions": [{"name": "", "version": "1", "creation_timestamp": 1%s}]}' % (b"0" * 30),
            "creation_timestamp",
        ),
    ],
)
def test_what_no_mlflow_answers_is_a_sentence(
    fake: FakeMlflow, tmp_path: Path, asked: str, said: bytes, told: str
) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    fake.hook = lambda url: (200, said) if asked in url else None
    done = desk()
    assert done.code == 1
    assert told in done.err


def test_one_odd_version_does_not_keep_those_behind_it_out(fake: FakeMlflow, tmp_path: Path) -> None:
    desk = Desk(fake, tmp_path / "store")
    fake.register("fraud")
    letters = "abcdefgh"
    each = (f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise(letters))
    bomb = "\n".join(["a: &a [x, x, x, x, x, x, x, x]", *each, "mlflow_version: *h"]).encode()  # 80 MB as text
    fake.add("fraud", {**bundle(1.0), "MLmodel": bomb})
    fake.add("fraud", bundle(2.0), params={f"p{i}": "x" * 6_000 for i in range(900)})
    fake.add("fraud", bundle(3.0), params={"half a character": "\ud800"})
    fake.add("fraud", bundle(4.0))
    for _ in range(2):
        done = desk("-o", "json")
        assert [each["version"] for each in done.json["versions"]] == [1, None, 2, 3]
        assert "Put what is large into files of the model" in done.json["versions"][1]["findings"][0]
        assert "are not kept" in done.json["versions"][1]["findings"][-1]
    assert desk.catalog.manifest(desk.catalog.version("fraud", 2)).params == {"half a character": "?"}


def test_a_server_that_never_ends_is_left(fake: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.mlflow_server.PAGES_MAX", 20)
    desk, numbers = filled(Desk(fake, tmp_path / "store")), itertools.count()
    fake.hook = lambda url: (
        (200, b'{"next_page_token": "%d"}' % next(numbers)) if "model-versions/search" in url else None
    )
    done = desk()
    assert (done.code, next(numbers)) == (1, 20)
    assert "comes in more than 20 pages" in done.err


def test_of_a_file_that_is_larger_than_was_said_no_more_is_taken(fake: FakeMlflow, tmp_path: Path) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    fake.hook = lambda url: (200, b"x" * 3_000_000) if url.endswith("model.onnx") else None
    done = desk()
    assert done.code == 1
    assert "bytes that were said" in done.err
    assert sum(url.endswith("model.onnx") for url in fake.asked) == 1


@pytest.mark.parametrize("code", [401, 404, 503])
def test_a_server_that_says_the_credentials_again_is_not_quoted(fake: FakeMlflow, tmp_path: Path, code: int) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    (tmp_path / "secret").write_text("s3cret-token")

    def echoes(_: str) -> Answer:
        shown = str(fake.headers[-1]["Authorization"])
        return code, json.dumps({"message": f"\x1b[31mnot for {shown}, nor for s3cret-token"}).encode()

    fake.hook = echoes
    for given in (("--token-file",), ("--user", "eve", "--password-file")):
        done = desk(*given, tmp_path / "secret")
        shown = str(fake.headers[-1]["Authorization"]).split()[1]
        assert f"says {code}: \N{REPLACEMENT CHARACTER}[31mnot for" in done.err
        assert "***" in done.err
        assert "s3cret" not in done.out + done.err
        assert shown not in done.out + done.err


@pytest.mark.parametrize("token", ["two\nlines", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_token_that_is_no_header_is_told_without_it(token: str) -> None:
    with pytest.raises(SourceError, match="holds characters that no header can have") as raised:
        MlflowServer("https://there", Credentials(token))
    assert token not in str(raised.value)


def test_merge_keys_do_not_fill_the_memory() -> None:
    letters = "abcdefghijklm"
    lines = [f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}" for old, new in pairwise(letters)]
    assert described("\n".join(["flavors: {onnx: {}}", "a: &a {x: 1}", *lines]).encode()) == Described()
    assert described(b"flavors: {onnx: {}}").flavors == ("onnx",)


def test_metrics_that_are_no_numbers_are_text() -> None:
    given = (Metric("a", 10**400), Metric("b", "NaN"), Metric("c", [1]), Metric("d", "0.5"))
    assert measured(given) == {"a": str(10**400), "b": "nan", "c": "[1]", "d": 0.5}
