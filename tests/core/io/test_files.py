"""Whole files or none; JSON that strangers wrote; parameters there and back."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.io import FORMATS, files
from napari_hovernet.core.params import METHODS, PRESETS, SeparationParams
from napari_hovernet.core.separation.tuning import TUNABLES, TuneParams, with_value
from napari_hovernet.errors import InputError, OutputError

from ...refusals import refuses


def test_writes_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.csv"
    with files.atomic_path(target) as temporary:
        temporary.write_text("a,b\n")
        assert temporary.parent == target.parent and not target.exists()
    assert (target.read_text(), os.listdir(tmp_path)) == ("a,b\n", ["result.csv"])
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with files.atomic_path(link) as path:
        path.write_text("new")
    assert link.is_symlink() and target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, MemoryError])
def test_any_error_keeps_the_old_file_and_removes_the_new(tmp_path, error) -> None:
    target = tmp_path / "result.csv"
    target.write_text("old")
    with pytest.raises(error), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert (target.read_text(), os.listdir(tmp_path)) == ("old", ["result.csv"])


@pytest.mark.skipif(os.name != "posix", reason="folders have no such mode there")
def test_what_nobody_may_write_stays_even_for_root(tmp_path) -> None:
    locked = tmp_path / "theirs"
    locked.mkdir()
    (locked / "index.csv").write_text("old")
    (locked / "index.csv").chmod(0o444)
    ways = (
        lambda: files.write_whole(locked / "index.csv", "new"),
        lambda: files.write_whole(locked / "other.csv", "new"),
        lambda: files.writable_folder(locked),
        lambda: files.staged(locked, ["index.csv"]).__enter__(),
    )
    for mode in (0o755, 0o555):
        locked.chmod(mode)
        for way in ways if mode == 0o555 else ways[:1]:
            refuses("no permission.*you may write to", way, by=OutputError)
    locked.chmod(0o755)
    with (
        pytest.raises(OutputError, match="no permission"),
        files.staged(locked, ["index.csv"]) as at,
    ):
        (at / "index.csv").write_text("new")
    assert os.listdir(locked) == ["index.csv"] and (locked / "index.csv").read_text() == "old"


def test_a_disk_that_fills_while_flushing_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with (
        pytest.raises(OutputError, match="the disk is full"),
        files.atomic_path(tmp_path / "x") as path,
    ):
        path.write_text("text")
    assert os.listdir(tmp_path) == []


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "a/b", "folder does not exist"), (tmp_path, "is a folder of")):
        refuses(why, files.atomic_path(path).__enter__, by=OutputError)
    assert os.listdir(tmp_path) == []
    folder = files.writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir() and os.listdir(folder) == []
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, file / "below"):
        refuses("is a file, not a folder", files.writable_folder, path, by=OutputError)


def test_moves_are_all_or_none(tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"new {name}")
    (tmp_path / "x").write_text("old x")
    moves = [(tmp_path / "a", tmp_path / "x"), (tmp_path / "b", tmp_path / "no" / "y")]
    with pytest.raises(OSError):
        files.put_in_place(moves, aside)
    assert (tmp_path / "x").read_text() == "old x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": [1, 2', "cut off"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 10_000, "not valid JSON"),
    ],
)
def test_broken_json_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    assert "bad.json" in refuses(said, files.load_json, file)


def test_a_missing_and_a_huge_file_are_refused(tmp_path, monkeypatch) -> None:
    refuses("is not there", files.load_json, tmp_path / "none.json")
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert files.load_json(tmp_path / "a.json") == [1, 2, 3]
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 4)
    refuses("smaller region", files.load_json, tmp_path / "a.json")


def random_params(rng: np.random.Generator) -> TuneParams:
    separation = replace(
        SeparationParams.preset(str(rng.choice(PRESETS))),
        method=str(rng.choice(METHODS)),
        merge_touching=bool(rng.integers(2)),
        band_rows=int(rng.integers(1, 5000)),
    )
    order, sign = rng.choice(["hv", "vh"]), rng.choice(["outward", "inward"])
    params = TuneParams(separation, HVReading(str(order), str(sign)))
    for known in TUNABLES:
        value = known.low + float(rng.random()) * (known.high - known.low)
        params = with_value(params, known.name, value if known.decimals else known.snap(value))
    scales = tuple(float(s) for s in rng.uniform(0.01, 64, rng.integers(1, 5)))
    return replace(params, separation=replace(params.separation, scales=scales))


@pytest.fixture
def write(tmp_path):
    """Write a file as a stranger might; returns its path."""

    def write(text):
        path = tmp_path / "strange.json"
        text = text if isinstance(text, str | bytes) else json.dumps(text)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def about(**more):
    return {"format": files.FORMAT, "version": files.VERSION} | more


def test_any_params_come_back_exactly(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "p.json"
    for _ in range(50):
        params = random_params(rng)
        files.write_params(path, params)
        assert files.read_params(path) == params


def test_kinds_come_back_and_what_is_missing_takes_its_default(write):
    given = about(separation={"min_area": 30.0, "depth": 1, "scales": [2, 3]})
    p = files.read_params(write(given)).separation
    assert (p.min_area, p.depth, p.scales) == (30, 1.0, (2.0, 3.0))
    assert [type(v) for v in (p.min_area, p.depth, p.scales[0])] == [int, float, float]
    assert files.read_params(write(about())) == TuneParams()
    assert files.read_params(write(about(hv={"order": "vh"}))).hv == HVReading(order="vh")


ODD = (
    ("depth", "0.2"), ("depth", True), ("min_area", 20.5), ("min_area", 10**400), ("method", 3),
    ("merge_touching", 1), ("scales", 2.0), ("scales", [True]), ("scales", [[1.0]]),
)  # fmt: skip
"""Values of the wrong kind."""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not valid JSON"),
        ("[1, 2]", "holds no separation parameters"),
        ("{}", "holds no separation parameters"),
        (about(format="something else"), "holds no separation parameters"),
        (about(version=2), "of version 2; this program reads version 1: update"),
        (about(separation=[1]), r"separation: \[1\] is no set of named values"),
        (about(hv="vh"), "hv: 'vh' is no set"),
        (about(separation={"dept": 0.2}), "separation: dept is not known; it may need a newer"),
        (about(hv={"scale": 1, "angle": 3, "a": 1}), "hv: a, angle is not known"),
        (about(separation={"__class__": 1}), "__class__ is not known"),
        *(
            (about(separation={k: v}), f"separation, {k} is .*; give something like ")
            for k, v in ODD
        ),
        (about(separation={"method": "watershed"}), "method .*choose one of local"),
        (about(separation={"scales": []}), "scales .*give one or more sigmas"),
        (about(separation={"scales": [1e8]}), "scales .*above 0, up to 64"),
        (about(separation={"magnitude_low": 2.0}), "magnitude_low .*give 0 < low <= high"),
        (about(separation={"opening_size": 999_999_999}), "opening_size is 9{9}; give up to 255 p"),
        (about(separation={"magnitude_window": 5001}), "magnitude_window .*give up to 4095 pixels"),
    ],
)
def test_what_is_no_such_file_is_refused_by_name(write, text, why):
    path = write(text)
    assert str(path) in refuses(why, files.read_params, path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 5000])
def test_numbers_that_are_none_are_refused(write, number):
    text = json.dumps(about(hv={"scale": 7})).replace("7", number)
    with pytest.raises(InputError):
        files.read_params(write(text))


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = files._temporary(tmp_path)
    parts = mine.name.split("-")
    dead = tmp_path / "-".join([*parts[:-2], str(gone.pid), parts[-1]])
    other = tmp_path / "-".join([*parts[:-3], "00000000", str(gone.pid), parts[-1]])
    dead.mkdir()
    (dead / "x").touch()
    mine.touch()
    other.touch()
    with files.staged(tmp_path, ["a"]) as staging:
        (staging / "a").touch()
    assert sorted(tmp_path.iterdir()) == sorted([mine, other, tmp_path / "a"])


ROOT = Path(__file__).resolve().parents[3]


def test_the_manifest_has_a_writer_for_each() -> None:
    offered = yaml.safe_load((ROOT / "napari.yaml").read_text("utf-8"))["contributions"]
    functions = {c["id"]: c["python_name"].rpartition(":")[2] for c in offered["commands"]}
    found = {
        functions[w["command"]]: (w["display_name"], tuple(w["filename_extensions"]))
        for w in offered["writers"]
    }
    assert found == {
        f"write_{f.name.replace('-', '_')}": (f.title, f.suffixes) for f in FORMATS.values()
    }
