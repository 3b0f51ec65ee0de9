"""info, export, devices and demo; models that are broken or hostile."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_hovernet.app.own_code import import_named, is_code
from napari_hovernet.cli import models
from napari_hovernet.core.diagnosis import story
from napari_hovernet.core.diagnosis.story_blob import StoryRow
from napari_hovernet.errors import InputError


def truncated(folder: Path, model_file: Path) -> Path:
    path = folder / "truncated.safetensors"
    path.write_bytes(model_file.read_bytes()[:-100])
    return path


@pytest.mark.parametrize("command", ["info", "export", "segment"])
def test_a_broken_checkpoint_is_one_clear_line(run, tmp_path, images, model_file, command):
    path = truncated(tmp_path, model_file)
    argv = {
        "info": ["info", path],
        "export": ["export", path, tmp_path / "out.safetensors"],
        "segment": ["segment", images, "-o", tmp_path / "out", "--model", path],
    }[command]
    outcome = run(*argv)
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("napari-hovernet: error: ") and path.name in outcome.err
    assert not (tmp_path / "out.safetensors").exists() and not list((tmp_path / "out").glob("*"))


def test_napari_is_asked_for_and_a_failing_check_gives_status_1_and_strict_json(run, monkeypatch):
    monkeypatch.setattr(models, "NEEDED", ("no_such_viewer",))
    outcome = run("demo")
    assert outcome.status == 2 and "no_such_viewer" in outcome.err
    assert "pip install 'napari-hovernet[all]'" in outcome.err
    seeds: list[int] = []
    monkeypatch.setattr(story, "loss_claims", lambda seed: seeds.append(seed) or (GOOD, BAD))
    outcome = run("check-loss", "--json", "--seed", 3)
    assert (outcome.status, seeds) == (1, [3])
    data = json.loads(outcome.out, parse_constant=pytest.fail)
    assert (data["passed"], data["seed"]) == (False, 3)
    assert set(data["checks"][0]) == {"name", "passed", "expected", "measured", "why"}
    assert data["checks"][0]["measured"]["slope"] == "nan"
    assert "1 of 2 corrected checks pass." in run("check-loss").out


GOOD = StoryRow("It was said.", "1", {"a": 1.5, "slope": float("nan")}, True, "It is.")
BAD = StoryRow("It was said, too.", "1", {"a": 2.0}, False, "It is not.")


class TinyViT(nn.Module):
    num_prefix_tokens = 1

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.avg_pool2d(x, 14).flatten(2).transpose(1, 2)
        return torch.cat([x.new_zeros(len(x), 1, 3), patches], 1)


def test_tokens_of_a_data_file_and_what_to_type_without_timm(run, tmp_path, monkeypatch) -> None:
    made = types.SimpleNamespace(create_model=lambda name, **_: TinyViT())
    monkeypatch.setitem(sys.modules, "timm", made)
    data, rng = tmp_path / "skin_data_FIXED.npz", np.random.default_rng(0)
    np.savez(data, images=rng.integers(0, 256, (3, 256, 256, 3), np.uint8))
    out = data.with_name("skin_features.npz")
    given = ("tokens", data, "-o", out, "--backbone", "tiny", "--device", "cpu")
    found = run(*given, "--mean", 0, 0, 0, "--std", 1, 1, 1)
    assert found.status == 0, found.err
    assert "3 images" in found.out and "257 tokens of 3 each, 1 of them before" in found.out
    with np.load(out) as made, np.load(data) as given_data:
        mean = given_data["images"].mean() / 255
        assert made["features"][:, 1:].mean() == pytest.approx(mean, abs=0.01)
        assert int(made["token_prefix"]) == 1
    again = run(*given)
    assert again.status == 2 and "--overwrite" in again.err
    assert run(*given, "--overwrite", "-q").status == 0
    monkeypatch.setitem(sys.modules, "timm", None)
    found = run("tokens", data, "-o", data.with_name("x_features.npz"))
    assert found.status == 2 and "napari-hovernet[vit]" in found.err and len(found.errors) == 1


def test_code_is_told_from_files_imported_or_named(tmp_path, monkeypatch) -> None:
    assert is_code("a.b:c") and is_code(f"{tmp_path}/x.py:cut")
    for text in ("C:\\models\\a.pth", "compact", "separation.json", "a:b.json", "1:x", ""):
        assert not is_code(text)
    there = tmp_path / "a:b"
    there.write_text("a file")
    assert not is_code(str(there))
    (tmp_path / "own_module_of_a_test.py").write_text("def cut():\n    return 7\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert (import_named("own_module_of_a_test:cut")(), sys.path) == (7, before)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert import_named("math:pi") > 3 and sys.path[0] == str(tmp_path), "it was there already"
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0\n")
    for text, words in (
        (f"{bad}:cut", "ZeroDivisionError"), ("math:cut", "math has no 'cut'"),
        (f"{tmp_path}/no.py:cut", "is not there"), ("no_such_module_here:cut", "ModuleNotFound"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            import_named(text)
