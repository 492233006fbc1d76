"""The files of a configuration as a worker looks at them again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.adapters.config_files import ConfigFiles
from monitor.errors import ConfigError

TEXT = """
streams:
  predictions: {topic: p, fields: {id: $.id, model: $.m, version: $.v, at: $.at, score: $.s}}
models: [{name: m}]
windows: [1h]
labels: {owner: OWNER}
"""


def files(*paths: Path) -> ConfigFiles:
    return ConfigFiles(paths, ["http.port=0"], {})


def test_a_mounted_configmap_is_swapped_by_a_link_beside_the_file(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "driftline.yaml").write_text(TEXT.replace("OWNER", version))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "driftline.yaml").symlink_to("..data/driftline.yaml")
    mounted = files(tmp_path / "driftline.yaml")
    before = mounted.fingerprint()
    assert mounted.read().labels == {"owner": "one"}
    (tmp_path / "..data_tmp").symlink_to("two")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert mounted.fingerprint() != before
    assert mounted.read().labels == {"owner": "two"}
    assert mounted.read().http.port == 0, "the command line stays"


def test_a_file_that_is_touched_or_replaced_by_a_copy_has_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_text(TEXT)
    before = files(path).fingerprint()
    os.utime(path, (1, 1))
    (tmp_path / "copy").write_text(TEXT)
    (tmp_path / "copy").replace(path)
    assert files(path).fingerprint() == before


def test_an_edit_of_the_same_length_and_time_has(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_text(TEXT)
    before, was = files(path).fingerprint(), path.stat()
    path.write_text(TEXT.replace("OWNER", "OTHER"))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert files(path).fingerprint() != before


def test_where_one_file_ends_and_the_next_begins_counts(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    before = files(one, two).fingerprint()
    one.write_text("a")
    two.write_text("bc")
    assert files(one, two).fingerprint() != before


def test_a_file_that_is_gone_is_a_change_and_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_text(TEXT)
    before = files(path).fingerprint()
    path.unlink()
    assert files(path).fingerprint() != before
    with pytest.raises(ConfigError, match="cannot be read"):
        files(path).read()
