"""The command ``magnitude``: a line per image, what it means, and what misleads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

SIZE = (48, 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image with labels, one without."""
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"x{i}.png"), pixels)
    labels = np.zeros(SIZE, np.uint8)
    labels[10:30, 10:30] = 1
    labels[10:30, 30:50] = 2
    cv2.imwrite(str(tmp_path / "x0_lab.png"), labels)
    return tmp_path


@pytest.fixture
def magnitude(run: Any, model_file: Path) -> Any:
    def call(*argv: object) -> Any:
        return run("magnitude", *argv, "--model", model_file, "--device", "cpu")

    return call


def test_a_line_per_image_and_one_for_all(magnitude: Any, folder: Path) -> None:
    outcome = magnitude(folder)
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split()[:3] == ["image", "inside", "mean"]
    assert lines[1].split()[:2] == ["x0", "true"]
    assert lines[2].split()[:2] == ["x1", "predicted"]
    assert "mean magnitude inside nuclei" in outcome.out
    assert "[image max] is misleading: it was 0.88 to 0.99 in every broken run." in outcome.out
    assert "blind to direction" in outcome.out


def test_images_folders_and_an_index_together_count_once(magnitude: Any, folder: Path) -> None:
    (folder / "index.csv").write_text("image,label\nx0.png,x0_lab.png\n")
    given = (folder / "x1.png", folder / "index.csv", folder / "x0.png")
    found = json.loads(magnitude(*given, "--json").out)
    assert [row["name"] for row in found["rows"]] == ["x1", "x0"]
    first = found["rows"][1]
    assert first["measured_inside"] == "true nuclei"
    assert first["verdict"] in {"collapsed", "weak", "healthy"}
    assert first["inside"]["median"] <= first["inside"]["p95"] <= first["whole_image_max"] + 1e-6
    assert -1 <= first["direction"] <= 1
    assert found["schema_version"] == 1


def test_json_agrees_with_the_report_itself(magnitude: Any, folder: Path, model_file: Path) -> None:
    from napari_hovernet.core.checkpoint import load_model  # noqa: PLC0415 - on first use
    from napari_hovernet.core.inference import predict  # noqa: PLC0415
    from napari_hovernet.core.io.open import read_image  # noqa: PLC0415

    (row,) = json.loads(magnitude(folder / "x0.png", "--json").out)["rows"]
    maps = predict(load_model(model_file, "cpu"), read_image(folder / "x0.png").source)
    inside = maps.magnitude[10:30, 10:50]
    assert row["inside"]["mean"] == pytest.approx(inside.mean(), rel=1e-4)
    assert row["inside"]["n"] == inside.size
    assert row["whole_image_max"] == pytest.approx(maps.magnitude.max(), rel=1e-4)


def test_samples_and_labels_of_another_folder(magnitude: Any, folder: Path, tmp_path: Path) -> None:
    gt = tmp_path / "gt"
    gt.mkdir()
    (folder / "x0_lab.png").rename(gt / "x1.png")
    found = json.loads(magnitude(folder, "--labels", gt, "--json").out)
    assert [row["measured_inside"] for row in found["rows"]] == ["predicted nuclei", "true nuclei"]
    one = json.loads(magnitude(folder, "--n_samples", 1, "--json").out)
    assert len(one["rows"]) == 1


def test_a_bad_image_is_named_and_status_1(magnitude: Any, folder: Path) -> None:
    (folder / "x1.png").write_bytes((folder / "x1.png").read_bytes()[:200])
    outcome = magnitude(folder)
    assert outcome.status == 1
    assert outcome.errors == [line for line in outcome.err.splitlines() if "x1" in line]
    assert "damaged or cut off" in outcome.err
    assert "All 1 image: " in outcome.out


def test_nothing_but_bad_images_is_status_2(magnitude: Any, folder: Path, tmp_path: Path) -> None:
    (folder / "x1.png").write_text("no picture")
    outcome = magnitude(folder / "x1.png")
    assert (outcome.status, outcome.out) == (2, "")
    assert len(outcome.errors) == 1
    (tmp_path / "empty").mkdir()
    assert "holds no image" in magnitude(tmp_path / "empty").err


def test_labels_of_another_size_are_an_error_and_not_left_away(
    magnitude: Any, folder: Path
) -> None:
    cv2.imwrite(str(folder / "x0_lab.png"), np.ones((5, 5), np.uint8))
    outcome = magnitude(folder)
    assert outcome.status == 1
    assert "x0_lab.png: The truth is 5 x 5 pixels" in outcome.err


def test_quiet_says_the_table_alone(magnitude: Any, folder: Path) -> None:
    outcome = magnitude(folder, "-q")
    assert outcome.err == ""
    assert outcome.out.startswith("image")
