"""The commands ``evaluate`` and ``magnitude``: of images, and of cached features of tokens."""

import errno
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from napari_hovernet.cli import evaluate as command

from .conftest import files_below

SIZE = (48, 64)


def nuclei() -> npt.NDArray[np.uint16]:
    """Two nuclei that touch and one alone."""
    labels = np.zeros(SIZE, np.uint16)
    labels[6:22, 6:20], labels[6:22, 20:34], labels[30:42, 40:54] = 1, 2, 3
    return labels


def png(path: Path, values: npt.NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three labelled images and an index; a fourth without labels; predictions of them all."""
    folder = tmp_path / "data"
    lines = ["name,source,split,path,label,approx_mpp"]
    for i, source in enumerate(("A", "A", "B")):
        pixels = np.random.default_rng(i).integers(0, 256, (*SIZE, 3), np.uint8)
        png(folder / f"im/x{i}.png", pixels)
        png(folder / f"im/x{i}_lab.png", nuclei())
        lines.append(f"x{i},{source},{'val' if i else 'train'},im/x{i}.png,im/x{i}_lab.png,0.25")
        pred = nuclei()
        pred[pred == 2] = i and 2  # missed in x0
        png(tmp_path / f"pred/x{i}.png", pred)
    png(folder / "im/bare.png", np.zeros((*SIZE, 3), np.uint8))
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder


ALL = ["evaluation.csv", "evaluation.html", "evaluation.json"]


def test_predictions_of_a_folder_need_no_model(run, data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(command, "_model_predictor", lambda *_: pytest.fail("a model was loaded"))
    out = tmp_path / "out"
    outcome = run("evaluate", data, "-o", out, "--pred", tmp_path / "pred")
    assert outcome.status == 0, outcome.err
    assert files_below(out) == ALL
    found = json.loads((out / "evaluation.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert (rows["x0"]["n_missed"], rows["x1"]["aji"]) == (1, 1)
    assert rows["x0"]["aji"] == pytest.approx((224 + 168) / (2 * 224 + 168), rel=1e-5)
    assert found["predictor"]["predictions"] == str(tmp_path / "pred")
    assert found["data"]["split"] is None
    lines = outcome.out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["A", "2"], ["B", "1"], ["all", "3"]]
    mean = found["means"]["all"]["scores"]["aji"]["mean"]
    assert f"{mean:.3f}" in lines[3]
    assert "9 true nuclei, 8 predicted: 8 matched, 0 merged, 0 split, 1 missed" in outcome.out
    assert "evaluation.html" in outcome.err


def test_without_a_folder_for_reports_it_prints_and_writes_nothing(run, data, tmp_path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = run("evaluate", data, "--pred", tmp_path / "pred", "-q")
    assert found.status == 0 and "AJI" in found.out
    assert sorted(tmp_path.rglob("*")) == before


def test_split_source_samples_and_json(run: Any, data: Path, tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    val = run("evaluate", data, "-o", tmp_path / "a", "--pred", pred, "--split=val", "--json")
    found = json.loads(val.out)
    assert [row["name"] for row in found["rows"]] == ["x1", "x2"]
    written = json.loads((tmp_path / "a" / "evaluation.json").read_text())
    assert {**found, "created": ""} == {**written, "created": ""}
    one = run("evaluate", data / "index.csv", "-o", tmp_path / "b", "--pred", pred, "--source", "A",
              "--n_samples", 1, "--json", "--no-html", "-q")  # fmt: skip
    assert [row["name"] for row in json.loads(one.out)["rows"]] == ["x0"]
    assert (files_below(tmp_path / "b"), one.err) == (["evaluation.csv", "evaluation.json"], "")


def test_some_bad_images_are_status_1_and_named(run: Any, data: Path, tmp_path: Path) -> None:
    png(data / "im/x1_lab.png", np.ones((9, 9), np.uint16))
    (tmp_path / "pred/x2.png").unlink()
    outcome = run("evaluate", data, "-o", tmp_path / "o", "--pred", tmp_path / "pred")
    assert outcome.status == 1 and "2 of 3 images failed:" in outcome.err
    assert "x1: x1_lab.png: The truth is 9 x 9 pixels" in outcome.err and "x2: " in outcome.err
    assert "holds no prediction for x2.png" in outcome.err and "1 (+1 failed)" in outcome.out
    assert files_below(tmp_path / "o") == ALL
    assert "2 of 3 images failed" in (tmp_path / "o" / "evaluation.html").read_text()


def test_only_bad_images_are_status_2_and_nothing_is_written(run, data, tmp_path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "readme.txt").touch()
    given = ("-o", tmp_path / "o", "--pred", tmp_path / "none")
    outcome = run("evaluate", data, *given)
    assert outcome.status == 2
    assert "None of the 3 images could be evaluated. First x0:" in outcome.err
    assert (len(outcome.errors), files_below(tmp_path / "o")) == (1, [])
    single = run("evaluate", data, *given, "--n-samples", 1)
    assert single.status == 2 and "error: x0: " in single.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--split", "test"], "no image of split 'test'"),
        (["--params", "none.json"], "none.json"),
        (["--pred", "nowhere"], "nowhere is not there"),
        (["--model", "none.tar"], "none.tar"),
    ],
)
def test_wrong_choices_are_one_clear_line(run, data, tmp_path, argv, said) -> None:
    outcome = run("evaluate", data, "-o", tmp_path / "o", *argv)
    assert (outcome.status, len(outcome.errors)) == (2, 1) and said in outcome.errors[0]
    assert files_below(tmp_path / "o") == []


def test_a_read_only_disk_is_told_before_any_work(run, data, tmp_path, monkeypatch) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(command.batch, "evaluate_steps", lambda *_: pytest.fail("work was begun"))
    monkeypatch.setattr("napari_hovernet.core.io.files.Path.touch", refuses)
    outcome = run("evaluate", data, "-o", tmp_path / "o", "--pred", tmp_path / "pred")
    assert outcome.status == 2 and "the disk is read-only: choose another folder" in outcome.err


def test_ctrl_c_while_images_run_or_files_are_written_leaves_nothing(
    run: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: Any) -> None:
        raise KeyboardInterrupt

    given = ("evaluate", data, "-o", tmp_path / "o", "--pred", tmp_path / "pred")
    for place in ("napari_hovernet.app.evaluate.compare", "napari_hovernet.core.io.files.os.fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(place, pressed)
            outcome = run(*given)
        assert outcome.status == 130 and "interrupted" in outcome.err
        assert files_below(tmp_path / "o") == []


def test_images_folders_and_an_index_together_count_once(run, data, model_file) -> None:
    given = (data / "im/bare.png", data / "index.csv", data / "im/x0.png")
    said = run("magnitude", *given, "--json", "--model", model_file, "--device", "cpu")
    found = json.loads(said.out)
    assert [row["name"] for row in found["rows"]] == ["bare", "x0", "x1", "x2"]
    first = found["rows"][1]
    assert first["measured_inside"] == "true nuclei"
    assert first["verdict"] in {"collapsed", "weak", "healthy"}
    assert first["inside"]["median"] <= first["inside"]["p95"] <= first["whole_image_max"] + 1e-6
    assert -1 <= first["direction"] <= 1 and found["schema_version"] == 1
