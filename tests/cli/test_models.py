"""info, export, devices and demo; models that are broken or hostile."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_hovernet.cli import models
from napari_hovernet.cli.models import readable
from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.types import ModelInfo, TypeInfo


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def hostile_file(folder: Path) -> Path:
    path = folder / "hostile.pth"
    torch.save({"desc": Hostile(folder / "ran")}, path)
    return path


def test_info_is_readable(run: Any, model_file: Path) -> None:
    outcome = run("info", model_file)
    assert outcome.status == 0
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines() if " " in line)
    assert lines["architecture"] == "compact"
    assert lines["mpp"] == "0.25 µm per pixel"
    assert lines["licence"] == "CC0"
    assert lines["types"] == "none"


def test_readable_lists_types_training_and_notes() -> None:
    info = ModelInfo(
        "hovernet",
        mode="fast",
        types={1: TypeInfo("neoplastic", (255, 0, 0)), 2: TypeInfo("dead", (1, 2, 3))},
        training={"lr": 0.1},
        history=({}, {}),
        notes=("mpp assumed",),
    )
    lines = readable(info).splitlines()
    assert lines[0].split() == ["architecture", "hovernet", "fast"]
    assert "types          1 neoplastic (255, 0, 0)" in lines
    assert "               2 dead (1, 2, 3)" in lines
    assert any(line.startswith("training") and "lr = 0.1" in line for line in lines)
    assert "epochs         2 recorded" in lines
    assert "notes          mpp assumed" in lines


def test_export_round_trip_gives_equal_weights(run: Any, model_file: Path, tmp_path: Path) -> None:
    bare, again = tmp_path / "m.pth", tmp_path / "m.safetensors"
    assert run("export", model_file, bare).status == 0
    assert run("export", bare, again).status == 0
    states = [load_model(path, "cpu").network.state_dict() for path in (model_file, again)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_export_replaces_nothing_unless_told(run: Any, model_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.pth"
    target.write_text("mine")
    refused = run("export", model_file, target)
    assert refused.status == 2
    assert "--overwrite" in refused.err
    assert target.read_text() == "mine"
    assert run("export", model_file, target, "--overwrite").status == 0


@pytest.mark.parametrize("name", ["m.onnx", "m", "m.tar", "no/folder/m.pth"])
def test_export_refuses_what_it_cannot_write(
    run: Any, model_file: Path, tmp_path: Path, name: str
) -> None:
    outcome = run("export", model_file, tmp_path / name)
    assert outcome.status == 2
    assert len(outcome.errors) == 1
    assert not list(tmp_path.iterdir())


def truncated(folder: Path, model_file: Path) -> Path:
    path = folder / "truncated.safetensors"
    path.write_bytes(model_file.read_bytes()[:-100])
    return path


def empty(folder: Path, _: Path) -> Path:
    path = folder / "empty.pth"
    path.touch()
    return path


def wrong_kind(folder: Path, _: Path) -> Path:
    path = folder / "picture.pth"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


def hostile(folder: Path, _: Path) -> Path:
    return hostile_file(folder)


def old_hostile(folder: Path, _: Path) -> Path:
    path = folder / "old.tar"
    path.write_bytes(pickle.dumps({"desc": Hostile(folder / "ran")}))
    return path


def mismatched(folder: Path, model_file: Path) -> Path:
    state = load_model(model_file, "cpu").network.state_dict()
    state.pop(next(iter(state)))
    path = folder / "mismatched.pth"
    torch.save(state, path)
    return path


def missing(folder: Path, _: Path) -> Path:
    return folder / "missing.pth"


BROKEN = [truncated, empty, wrong_kind, hostile, old_hostile, mismatched, missing]


@pytest.mark.parametrize("make", BROKEN)
@pytest.mark.parametrize("command", ["info", "export", "segment"])
def test_a_broken_checkpoint_is_one_clear_line(
    run: Any, tmp_path: Path, images: Path, model_file: Path, make: Any, command: str
) -> None:
    path = make(tmp_path, model_file)
    argv = {
        "info": ["info", path],
        "export": ["export", path, tmp_path / "out.safetensors"],
        "segment": ["segment", images, "-o", tmp_path / "out", "--model", path],
    }[command]
    outcome = run(*argv)
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("napari-hovernet: error: ")
    assert path.name in outcome.err
    assert not (tmp_path / "ran").exists(), "code in the file was run"
    assert not (tmp_path / "out.safetensors").exists()
    assert not list((tmp_path / "out").glob("*"))


def test_a_wrong_device_is_one_clear_line(run: Any, images: Path, model_file: Path) -> None:
    out = images.parent / "out"
    outcome = run("segment", images, "-o", out, "--model", model_file, "--device", "cuda:99")
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert "cuda" in outcome.err


def test_it_starts_the_module_with_what_was_given(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        started.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(models.subprocess, "run", start)
    monkeypatch.setattr(models, "NEEDED", ())
    assert run("demo", "--screenshot", "out.png", "--sample", "tissue").status == 3
    assert started[0] == [
        sys.executable, "-m", "napari_hovernet._napari.demo",
        "--sample", "tissue", "--screenshot", "out.png",
    ]  # fmt: skip


def test_without_napari_it_says_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "NEEDED", ("no_such_viewer",))
    outcome = run("demo")
    assert outcome.status == 2
    assert "no_such_viewer" in outcome.err
    assert "pip install 'napari-hovernet[all]'" in outcome.err


def test_the_module_it_starts_is_there() -> None:
    if find_spec("qtpy") is None:
        pytest.skip("the viewer is not installed")
    assert find_spec(models.DEMO_MODULE) is not None
