"""Bundles that want to be loaded. Every pickle in them writes a file when it is loaded: nobody may ever have."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from registry.formats.finding import Refusal
from tests.registry import models

Bundle = dict[str, bytes]


class Trap:
    """What loading it does."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.sprung, "loaded")


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, *, before: bytes = b"") -> bytes:
    out = io.BytesIO()
    out.write(before)
    with zipfile.ZipFile(out, "a" if before else "w", method) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def zipped_link(name: str, target: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    return out.getvalue()


def tarred(
    members: dict[str, bytes], *, link: str | None = None, kind: bytes = tarfile.REGTYPE, form: int = tarfile.PAX_FORMAT
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(body), kind
            if link is not None:
                info.type, info.linkname, info.size = tarfile.SYMTYPE, link, 0
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def npz(array: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, a=np.asarray(array))
    return out.getvalue()


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array, dtype=object), allow_pickle=True)
    return out.getvalue()


def lying_zip() -> bytes:
    """Says that its one member is four GB less a byte, of a few bytes."""
    raw = bytearray(zipped({"weights.bin": b"0" * 100}))
    for magic, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        raw[raw.rfind(magic) + at : raw.rfind(magic) + at + 4] = struct.pack("<L", 0xFFFF_FFF0)
    return bytes(raw)


def polyglot(load: bytes) -> bytes:
    """A safetensors file that is a pickle as well: the length of its header begins with the opcode for a line of text,
    the line ends where the tensors begin, and there the pickle goes on. The line is long: no short look finds its end."""
    body = b"\n" + load
    for padding in range(70_000, 70_300):
        made = models.safetensors({"w" + "a" * padding: ("U8", [len(body)], body)})
        if made[:1] == b"V":
            return made
    raise AssertionError("no polyglot")


def corpus(sprung: Path) -> dict[str, tuple[Bundle, Refusal]]:  # one table, to be read as one
    """Name -> (files, the reason that must be among those found)."""
    trap = Trap(sprung)
    bad = pickle.dumps(trap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        objects = np.array([trap], dtype=object)
    torch = zipped(
        {"archive/data.pkl": bad, "archive/data/0": b"\0" * 24, "archive/version": b"3\n"}, zipfile.ZIP_STORED
    )
    links = {f"{n}.json": b"{}" for n in range(1_100)}
    found: dict[str, tuple[Bundle, Refusal]] = {
        f"pickle of protocol {protocol} as {suffix}": ({f"model{suffix}": pickle.dumps(trap, protocol)}, Refusal.PICKLE)
        for protocol in range(6)
        for suffix in (".pkl", ".onnx", ".json", ".safetensors", ".bin", "")
    }
    found |= {
        "pickle with a fault after its payload": ({"m.bin": pickle.dumps(trap, 0)[:-1] + b"\xff"}, Refusal.PICKLE),
        "pickle with an escape that is none": ({"m.bin": b"S'\\u'\n0" + pickle.dumps(trap, 0)}, Refusal.PICKLE),
        "harmless pickle": ({"model.pkl": pickle.dumps({"w": [1.0]}, 4)}, Refusal.PICKLE),
        "harmless old pickle": ({"model.onnx": pickle.dumps({"w": [1.0]}, 0)}, Refusal.PICKLE),
        "joblib, plain": ({"model.joblib": bad}, Refusal.PICKLE),
        "joblib, zlib": ({"model.joblib": zlib.compress(bad)}, Refusal.PICKLE),
        "joblib, gzip, as onnx": ({"model.onnx": gzip.compress(bad)}, Refusal.PICKLE),
        "joblib, bz2": ({"model.joblib": bz2.compress(bad)}, Refusal.PICKLE),
        "joblib, xz": ({"model.joblib": lzma.compress(bad)}, Refusal.PICKLE),
        "joblib, lzma": ({"model.joblib": lzma.compress(bad, lzma.FORMAT_ALONE)}, Refusal.PICKLE),
        "pickle in gzip in gzip": ({"model.json": gzip.compress(gzip.compress(bad))}, Refusal.PICKLE),
        "compressed json": ({"model.json": gzip.compress(models.json_model(1))}, Refusal.COMPRESSED),
        "zstd": ({"model.bin": b"\x28\xb5\x2f\xfd" + b"\0" * 20}, Refusal.COMPRESSED),
        "pytorch": ({"model.pt": torch}, Refusal.PICKLE),
        "pytorch as safetensors": ({"model.safetensors": torch}, Refusal.PICKLE),
        "pytorch as onnx data": ({"m.onnx": models.with_outside_data("w.bin"), "w.bin": torch}, Refusal.ARCHIVE),
        "pickle as onnx data": ({"m.onnx": models.with_outside_data("w.bin"), "w.bin": bad}, Refusal.PICKLE),
        "old pickle as onnx data": (
            {"m.onnx": models.with_outside_data("w.bin"), "w.bin": pickle.dumps(trap, 0)},
            Refusal.PICKLE,
        ),
        "pickle named as onnx data": (
            {"m.onnx": models.with_outside_data("w.pkl"), "w.pkl": b"\0" * 24},
            Refusal.UNKNOWN_FORMAT,
        ),
        "npz of objects": ({"model.npz": npz(objects)}, Refusal.PICKLE),
        "npz of numbers": ({"model.npz": npz([1.0])}, Refusal.ARCHIVE),
        "npy of objects": ({"model.npy": npy([trap])}, Refusal.PICKLE),
        "skops": ({"model.skops": zipped({"schema.json": b"{}"})}, Refusal.ARCHIVE),
        "pickle in zip by name only": ({"m.zip": zipped({"a.pkl": b"?"})}, Refusal.PICKLE),
        "pickle in tar": ({"model.tar": tarred({"a/model.bin": bad})}, Refusal.PICKLE),
        "pickle in tar.gz": ({"model.tgz": gzip.compress(tarred({"model.bin": bad}))}, Refusal.PICKLE),
        "pickle in old tar": ({"model.tar": tarred({"model.bin": bad}, form=tarfile.USTAR_FORMAT)}, Refusal.PICKLE),
        "pickle in zip in tar": ({"model.tar": tarred({"a.zip": zipped({"b": bad})})}, Refusal.PICKLE),
        "zip behind a program": ({"model.bin": zipped({"a": bad}, before=b"\x7fELF" + b"\0" * 99)}, Refusal.PICKLE),
        "zip behind onnx": ({"model.onnx": zipped({"a": bad}, before=models.linear([1, 2]))}, Refusal.PICKLE),
        "pickle behind onnx": ({"model.onnx": models.linear([1, 2]) + bad}, Refusal.MALFORMED),
        "pickle behind safetensors": ({"model.safetensors": models.weights() + bad}, Refusal.MALFORMED),
        "pickle in a gap": ({"m.safetensors": models.safetensors({"w": ("U8", [1], b"\0")}, gap=9)}, Refusal.MALFORMED),
        "pickle and safetensors": ({"m.safetensors": polyglot(pickle.dumps(trap, 0))}, Refusal.PICKLE),
        "jsonpickle": ({"m.json": json.dumps({"a": [{"py/reduce": []}]}).encode()}, Refusal.PICKLE),
        "base64 in json": ({"m.json": json.dumps({"w": base64.b64encode(bad).decode()}).encode()}, Refusal.PICKLE),
        "json with doubled keys": ({"m.json": b'{"a": 1, "a": 2}'}, Refusal.MALFORMED),
        "json with NaN": ({"m.json": b'{"a": NaN}'}, Refusal.MALFORMED),
        "json without end": ({"m.json": b"[" * 100_000 + b"]" * 100_000}, Refusal.MALFORMED),
        "json with a giant number": ({"m.json": b"[" + b"9" * 100_000 + b"]"}, Refusal.MALFORMED),
        "json in utf-16": ({"m.json": '{"a": 1}'.encode("utf-16")}, Refusal.MALFORMED),
        "json that is a number": ({"m.json": b"1"}, Refusal.MALFORMED),
        "onnx as json": ({"m.json": models.linear([1])}, Refusal.WRONG_SUFFIX),
        "json as onnx": ({"m.onnx": models.json_model(1)}, Refusal.WRONG_SUFFIX),
        "nothing as onnx": ({"m.onnx": b""}, Refusal.MALFORMED),
        "cut onnx": ({"m.onnx": models.linear([1, 2])[:-3]}, Refusal.MALFORMED),
        "program": ({"m.bin": b"\x7fELF" + b"\0" * 60}, Refusal.EXECUTABLE),
        "library as onnx": ({"m.onnx": b"\x7fELF" + b"\0" * 60}, Refusal.EXECUTABLE),
        "script": ({"setup.sh": b"#!/bin/sh\n"}, Refusal.EXECUTABLE),
        "python": ({"model.py": b"import os\n"}, Refusal.UNKNOWN_FORMAT),
        "keras": ({"model.h5": b"\x89HDF\r\n\x1a\n" + b"\0" * 99}, Refusal.UNKNOWN_FORMAT),
        "empty": ({}, Refusal.EMPTY),
        "too many files": (links, Refusal.TOO_MANY_FILES),
    }
    paths = (
        "../m.json",
        "/etc/m.json",
        "a/../../m.json",
        "C:\\m.json",
        "a\\..\\m.json",
        ".hidden.json",
        "a//m.json",
        "m\n.json",
    )
    found |= {f"path {path!r}": ({path: b"{}"}, Refusal.PATH) for path in paths}
    found |= {
        "paths that differ in case": ({"M.json": b"{}", "m.json": b"{}"}, Refusal.PATH),
        "path that is a folder too": ({"a.json": b"{}", "a.json/b.json": b"{}"}, Refusal.PATH),
        "zip that climbs": ({"m.zip": zipped({"../../.ssh/authorized_keys": b"x"})}, Refusal.PATH),
        "zip with an absolute path": ({"m.zip": zipped({"/etc/passwd": b"x"})}, Refusal.PATH),
        "zip with a link": ({"m.zip": zipped_link("weights", "/etc/passwd")}, Refusal.SYMLINK),
        "tar that climbs": ({"m.tar": tarred({"../x": b"x"})}, Refusal.PATH),
        "tar that climbs by a long name": ({"m.tar": tarred({"a/" * 80 + "../" * 90 + "x": b"x"})}, Refusal.PATH),
        "tar that climbs by a GNU name": (
            {"m.tar": tarred({"../" * 90 + "x": b"x"}, form=tarfile.GNU_FORMAT)},
            Refusal.PATH,
        ),
        "tar with a link": ({"m.tar": tarred({"x": b""}, link="/etc/passwd")}, Refusal.SYMLINK),
        "tar with a device": ({"m.tar": tarred({"x": b""}, kind=tarfile.CHRTYPE)}, Refusal.SPECIAL_FILE),
        "zip bomb": ({"m.zip": zipped({"zeros": b"\0" * 30_000_000})}, Refusal.BOMB),
        "zip that lies about its size": ({"m.zip": lying_zip()}, Refusal.BOMB),
        "zip of too many": ({"m.zip": zipped({str(n): b"" for n in range(1_100)})}, Refusal.TOO_MANY_FILES),
        "gzip bomb": ({"m.json": gzip.compress(b"\0" * 30_000_000)[:5_000]}, Refusal.BOMB),
        "npz bomb": ({"m.npz": npz(np.zeros(4_000_000))}, Refusal.BOMB),
    }
    locations = ("../../etc/passwd", "/etc/passwd", "missing.bin", "", "a/../../w.bin", "w.bin\0")
    found |= {
        f"external data in {location!r}": (
            {"m.onnx": models.with_outside_data(location), "w.bin": b"\0" * 24},
            Refusal.EXTERNAL_DATA,
        )
        for location in locations
    }
    evil = models.node("Evil", ["x"], ["y"], "acme")
    branch = models.part(1, "then_branch") + models.part(6, models.graph([evil], []))
    nested = models.graph([models.node("If", ["c"], ["y"], "", [branch])], [])
    deep = models.graph([evil], [])
    for _ in range(500):
        deep = models.graph([models.node("If", [], [], "", [models.part(6, deep)])], [])
    hidden = models.part(5, models.outside_tensor("w", "../../etc/shadow"))
    constant = models.graph([models.node("Constant", [], ["w"], "", [hidden])], [])
    found |= {
        "external data beyond the end": (
            {"m.onnx": models.with_outside_data("w.bin", offset="8"), "w.bin": b"\0" * 24},
            Refusal.EXTERNAL_DATA,
        ),
        "external data in a constant": ({"m.onnx": models.model(constant)}, Refusal.EXTERNAL_DATA),
        "custom operator": ({"m.onnx": models.model(models.graph([evil], []), domains={"acme": 1})}, Refusal.CUSTOM_OPERATOR),
        "python operator": ({"m.onnx": models.model(models.graph([
            models.node("PyOp", ["x"], ["y"], "ai.onnx.contrib")], []))}, Refusal.CUSTOM_OPERATOR),
        "custom operator in a branch": ({"m.onnx": models.model(nested)}, Refusal.CUSTOM_OPERATOR),
        "onnx without end": ({"m.onnx": models.model(deep)}, Refusal.MALFORMED),
    }  # fmt: skip
    classes = ("os.system", "builtins.eval", "river.datasets.Phishing", "river.compose.FuncTransformer", "river.stats..Mean",
               "sklearn.linear_model.LogisticRegression", "river.linear_model.__class__", 7)  # fmt: skip
    found |= {
        f"recipe with {name}": ({"m.json": models.recipe({"class": name, "params": {}})}, Refusal.RECIPE)
        for name in classes
    }
    inner = {"class": "os.system", "params": {"command": "true"}}
    outer = {"class": "river.compose.Pipeline", "steps": [["a", inner]]}
    found |= {
        "recipe with a bad step": ({"m.json": models.recipe(outer)}, Refusal.RECIPE),
        "recipe with a bad parameter": (
            {"m.json": models.recipe({"class": "river.dummy.NoChangeClassifier", "params": {"x": [{"y": inner}]}})},
            Refusal.RECIPE,
        ),
        "recipe with a hidden name": (
            {"m.json": models.recipe({"class": "river.dummy.NoChangeClassifier", "params": {"__class__": 1}})},
            Refusal.RECIPE,
        ),
        "recipe of a newer format": ({"m.json": models.recipe(format=2)}, Refusal.RECIPE),
        "recipe with more": ({"m.json": models.recipe(loader="acme")}, Refusal.RECIPE),
    }
    return found
