"""`driftline dataset`: its rows are what `driftline run` counts, and its verdicts are right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monitor.cli.dataset_make
from monitor.errors import LogUnreachable
from pipelines.dataset.shelf import Shelf
from registry.directory import DirectoryStore
from tests.cli.conftest import Deployment
from tests.cli.driving import Outcome, driftline

DAY_MS = 86_400_000
COUNTS = ("seen", "labelled", "tp", "fp", "fn", "tn")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Path:
    """A store with the two days, the first of them, and the first with the labels that were known at noon."""
    made = tmp_path_factory.mktemp("datasets") / "store"
    first = ("--from", "2013-01-01", "--until", "2013-01-02")
    succeed(create(deployment, made, "--name", "both", "--all"))
    succeed(create(deployment, made, "--name", "first", *first))
    succeed(create(deployment, made, "--name", "noon", *first, "--label-cutoff", "2013-01-01T12:00"))
    return made


def create(deployment: Deployment, store: Path, *options: object) -> Outcome:
    return driftline("dataset", "create", *deployment.where, "--store", store, *options)


def dataset(store: Path, what: str, *options: object) -> Outcome:
    return driftline("dataset", what, *options, "--store", store)


def succeed(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def counted(store: Path, name: str) -> dict[tuple[int, str], dict[str, int]]:
    """(start of the day, segment) -> the counts of a window, from the rows of a dataset."""
    shelf = Shelf(DirectoryStore(store))
    found: dict[tuple[int, str], dict[str, int]] = {}
    for table in shelf.tables(shelf.version(name).manifest):
        day = table.ints("at_ms").values // DAY_MS * DAY_MS
        label, predicted = table.floats("label").values, table.ints("prediction").values
        origin = table.texts("segment.origin").texts()
        for at, y, guess, place in zip(day.tolist(), label.tolist(), predicted.tolist(), origin, strict=True):
            for segment in ("all", f"origin={place}"):
                counts = found.setdefault((at, segment), dict.fromkeys(COUNTS, 0))
                counts["seen"] += 1
                if not np.isnan(y):
                    counts["labelled"] += 1
                    counts[("t" if bool(guess) == (y == 1) else "f") + ("p" if guess else "n")] += 1
    return found


def test_the_rows_of_each_day_and_segment_are_those_of_the_published_windows(
    deployment: Deployment, store: Path
) -> None:
    windows = driftline("windows", *deployment.where, "--final", "-o", "json").json["windows"]
    each = driftline("windows", *deployment.where, "--final", "--segment", "each", "-o", "json").json["windows"]
    published = {(w["start_ms"], w["segment"]): {n: w["counts"][n] for n in COUNTS} for w in (*windows, *each)}
    assert len(published) == 8
    assert counted(store, "both") == published
    assert counted(store, "first") == {k: v for k, v in published.items() if k[0] == min(published)[0]}


def test_show_says_where_the_rows_are_from_and_what_was_left_out(store: Path) -> None:
    document = dataset(store, "show", "both", "-o", "json").json
    manifest = document["manifest"]
    assert document["names"] == ["both"]
    assert manifest["rows"] == 1_785
    assert manifest["excluded"]["predictions"] == {
        "rejected_malformed": 1, "rejected_missing": 1, "rejected_unknown_model": 1,
    }  # fmt: skip
    assert manifest["records"]["predictions"] == manifest["rows"] + 3
    assert [f["name"] for f in manifest["schema"]] == [
        "id_hash", "at_ms", "label_at_ms", "model", "version", "score", "prediction", "label", "segment.origin",
        "feature.hour", "feature.origin",
    ]  # fmt: skip
    shown = succeed(dataset(store, "show", document["dataset"][:20])).out
    for sentence in (document["dataset"], "1,785 rows", "1 rejected malformed", "as hashes", "feature.origin", "36 h"):
        assert sentence in shown


def test_a_version_is_named_by_name_digest_and_first_digits(store: Path) -> None:
    digest = dataset(store, "show", "first", "-o", "json").json["dataset"]
    for spec in (digest, digest.removeprefix("sha256:"), digest[:15], digest[7:13]):
        assert dataset(store, "show", spec, "-o", "json").json["dataset"] == digest
    missing = dataset(store, "show", "frist")
    assert (missing.code, missing.err) == (
        1,
        "driftline: dataset 'frist' is not in this store. Did you mean 'first'?\n",
    )


def test_the_same_range_again_is_the_same_version(deployment: Deployment, store: Path) -> None:
    first = dataset(store, "show", "first", "-o", "json").json["dataset"]
    again = create(deployment, store, "--name", "first", "--from", "2013-01-01", "--until", "2013-01-02", "-o", "json")
    assert (again.code, again.json["dataset"], again.json["new"], again.json["new_name"]) == (0, first, False, False)
    other = create(deployment, store, "--name", "first", "--from", "2013-01-02")
    assert other.code == 3
    assert "Names do not move" in other.err
    listed = dataset(store, "list", "-o", "json").json["datasets"]
    assert [[n["name"] for n in d["names"]] for d in listed] == [["both"], ["first"], ["noon"]]


def test_a_label_that_became_known_after_the_cut_off_does_not_count(store: Path) -> None:
    noon_ms = 1_357_041_600_000
    shelf = Shelf(DirectoryStore(store))
    tables = list(shelf.tables(shelf.version("noon").manifest))
    known = np.concatenate([t.ints("label_at_ms").values[~t.ints("label_at_ms").null] for t in tables])
    assert len(known)
    assert known.max() <= noon_ms
    difference = dataset(store, "diff", "noon", "first", "-o", "json").json
    rows = dataset(store, "show", "first", "-o", "json").json["manifest"]["rows"]
    assert difference["added"] == difference["removed"] == {}
    assert set(difference["changed"]) == {"labelled"}
    assert difference["same"] + difference["changed"]["labelled"] == rows
    back = succeed(dataset(store, "diff", "first", "noon")).out
    assert "label withdrawn" in back


def test_diff_says_that_rows_lie_outside_the_range(store: Path) -> None:
    found = dataset(store, "diff", "first", "both", "-o", "json").json
    assert (found["added"], found["removed"], found["changed"]) == ({"outside_the_range": 943}, {}, {})
    assert "the rows are the same" in dataset(store, "diff", "both", "both").err


def test_verify_makes_the_rows_again(deployment: Deployment, store: Path) -> None:
    for name in ("both", "first", "noon"):
        found = succeed(dataset(store, "verify", name, *deployment.where, "-o", "json")).json
        assert found["stored"]["whole"]
        assert found["source"]["same"] is True
        assert found["source"]["rows_digest"] == found["stored"]["rows_digest"]
    assert "the same, bit for bit" in succeed(dataset(store, "verify", "first", *deployment.where)).out
    alone = succeed(dataset(store, "verify", "first", "-o", "json"))
    assert alone.json["source"] is None
    assert dataset(store, "verify", "first", "--embedded", deployment.log).code == 2


def test_another_configuration_cannot_make_them_again(deployment: Deployment, store: Path) -> None:
    other = dataset(store, "verify", "first", *deployment.where, "--set", "time.horizon=2h", "-o", "json")
    assert other.code == 1
    assert other.json["source"]["same"] is None
    assert "differs in time" in other.json["source"]["why"]
    # What does not decide what a row is may change.
    window = dataset(store, "verify", "first", *deployment.where, "--set", "time.tick=30m", "--set", "windows=[1h]",
                     "--set", "rules=[]")  # fmt: skip
    assert window.code == 0, window.err


def test_a_flipped_byte_is_found_by_name(deployment: Deployment, tmp_path: Path) -> None:
    succeed(create(deployment, tmp_path, "--name", "x", "--all"))
    blob = max((tmp_path / "blobs").rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    blob.chmod(0o600)
    raw = bytearray(blob.read_bytes())
    raw[len(raw) // 2] ^= 1
    blob.write_bytes(raw)
    found = dataset(tmp_path, "verify", "x", "-o", "json")
    assert found.code == 1
    (fault,) = found.json["stored"]["faults"]
    assert fault.startswith("segment 0 of partition ")
    assert blob.name in fault
    blob.unlink()
    gone = dataset(tmp_path, "verify", "x")
    assert gone.code == 1
    assert "is missing" in gone.err


def test_an_unreachable_broker_is_said_after_what_is_stored(
    deployment: Deployment, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any) -> None:
        raise LogUnreachable("nobody answers at localhost:1")

    monkeypatch.setattr(monitor.cli.dataset_make, "make_again", nobody)
    found = dataset(store, "verify", "first", *deployment.where)
    assert found.code == 69
    assert "whole" in found.out
    assert "nobody answers" in found.err


def test_without_pyarrow_the_extra_is_named(
    deployment: Deployment, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    sentence = "a dataset's segment needs pyarrow, which is not installed. Run: pip install 'driftline[datasets]'."
    for found in (create(deployment, tmp_path, "--all"), dataset(store, "diff", "first", "noon")):
        assert (found.code, found.err) == (1, f"driftline: {sentence}\n")
    assert dataset(store, "show", "first").code == 0


def test_ids_are_kept_only_when_that_is_asked_for(deployment: Deployment, tmp_path: Path) -> None:
    digest = succeed(create(deployment, tmp_path, "--until", "2013-01-02", "--ids")).out.strip()
    shelf = Shelf(DirectoryStore(tmp_path))
    kept = {i for table in shelf.tables(shelf.version(digest).manifest) for i in table.texts("id").texts()}
    lines = deployment.predictions.read_text().splitlines()
    assert kept == {json.loads(line)["id"] for line in lines if json.loads(line)["at"] < 1_357_084_800_000}


def test_offsets_and_models_narrow_the_rows(deployment: Deployment, store: Path) -> None:
    made = create(
        deployment, store, "--offsets", "0:10-20", "--offsets", "1:0-5", "--model", "arrival-delay", "-o", "json"
    )
    manifest = succeed(made).json["manifest"]
    assert manifest["rows"] == 15
    ranges = [
        (p["partition"], p["predictions"]["start"], p["predictions"]["end"]) for p in manifest["source"]["partitions"]
    ]
    assert ranges == [(0, 10, 20), (1, 0, 5)]
    succeed(dataset(store, "verify", made.json["dataset"], *deployment.where))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say which predictions"),
        (("--all", "--from", "2013-01-01"), "--all is everything"),
        (("--offsets", "0:5"), "write PARTITION:START-END"),
        (("--offsets", "0:5-5"), "hold nothing"),
        (("--offsets", "0:5-99999999"), "are not all in the topic"),
        (("--offsets", "9:0-5"), "are of no partition there is"),
        (("--from", "2013-01-02", "--until", "2013-01-01"), "must end after it begins"),
        (("--all", "--model", "arival-delay"), "did you mean 'arrival-delay'"),
        (("--all", "--name", "../x"), "cannot be used"),
        (("--from", "2020-01-01"), "would have no row"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    deployment: Deployment, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    found = create(deployment, tmp_path / "store", *options)
    assert found.code == 2
    assert said in found.err


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    found = dataset(tmp_path / "nothing", "list")
    assert found.code == 1
    assert "`driftline dataset create` makes one" in found.err
    assert not (tmp_path / "nothing").exists()


def test_the_registry_keeps_what_a_version_needs_and_removes_what_was_never_one(
    deployment: Deployment, tmp_path: Path
) -> None:
    succeed(create(deployment, tmp_path, "--name", "x", "--until", "2013-01-02"))
    assert create(deployment, tmp_path, "--name", "x", "--from", "2013-01-02").code == 3
    assert [d["names"][0]["name"] for d in dataset(tmp_path, "list", "-o", "json").json["datasets"]] == ["x"]
    blobs = {p for p in (tmp_path / "blobs").rglob("*") if p.is_file()}
    succeed(driftline("registry", "gc", "--store", tmp_path, "--grace", "0s", "--delete"))
    assert len({p for p in (tmp_path / "blobs").rglob("*") if p.is_file()}) == len(blobs) // 2
    assert driftline("registry", "fsck", "--store", tmp_path).code == 0
    assert dataset(tmp_path, "verify", "x", *deployment.where).code == 0
