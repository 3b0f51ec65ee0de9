"""``evaluate`` and ``segment`` with types: numbering, groups, areas that do not count, reports."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.types import CONSEP, Model, ModelInfo

SIZE = (60, 80)
SQUARES = {1: (5, 5), 2: (5, 30), 3: (5, 55), 4: (35, 5), 5: (35, 30)}
TRUE = {1: "epithelial", 2: "inflammatory", 3: "Spindle", 4: "epithelial", 5: "Ignore*"}
"""Classes as QuPath writes them: no numbers, in the order of the objects."""
PREDICTED = {1: 3, 2: 2, 3: 2, 4: 3, 5: 1}


def labels() -> np.ndarray:
    found = np.zeros(SIZE, np.uint16)
    for i, (r, c) in SQUARES.items():
        found[r : r + 15, c : c + 15] = i
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One image; its truth is of QuPath, its prediction a label image with a table of types."""
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    for folder in ("data", "pred"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "data/x.png"), image)
    features = []
    for i, (r, c) in SQUARES.items():
        ring = [[c, r], [c + 15, r], [c + 15, r + 15], [c, r + 15], [c, r]]
        features.append({
            "type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"classification": {"name": TRUE[i], "color": [i, i, i]}},
        })  # fmt: skip
    (tmp_path / "data/x.geojson").write_text(json.dumps(features))
    cv2.imwrite(str(tmp_path / "pred/x_labels.png"), labels())
    named = "".join(f"{i},{k},{CONSEP[k].name}\n" for i, k in PREDICTED.items())
    (tmp_path / "pred/x_types.csv").write_text(f"label,type,type_name\n{named}")
    return tmp_path


def evaluated(run: Any, data: Path, *more: object) -> dict[str, Any]:
    argv = ("evaluate", data / "data", "--pred", data / "pred", "-o", data / "out", "-q")
    said = run(*argv, "--overwrite", *more)
    assert said.status == 0, said.err
    found: dict[str, Any] = json.loads((data / "out/evaluation.json").read_text())
    return found["means"]["all"]["typed"] | {"said": said.out}


def test_types_are_compared_by_name_and_ignored_areas_left_out(run: Any, data: Path) -> None:
    found = evaluated(run, data)
    assert (found["f1"], found["bpq"], found["type_accuracy"]) == (1, 1, 0.75)
    named = {row["name"]: (row["n_true"], row["n_pred"]) for row in found["types"].values()}
    assert (named["epithelial"], named["inflammatory"]) == ((2, 2), (1, 2))
    assert sum(sum(row) for row in found["confusion"]) == 4, "the fifth lies in Ignore*"
    assert found["types"]["2"]["f1"] == pytest.approx(2 / (2 + 2))
    assert found["mpq_plus"] == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-5)
    assert "Right type 0.750" in found["said"] and "inflammatory" in found["said"]
    page = (data / "out/evaluation.html").read_text()
    assert "Found, and of the right type" in page and "True \\ predicted" in page
    (row,) = csv.DictReader((data / "out/evaluation.csv").read_text().splitlines())
    assert (row["detection_f1"], row["type_accuracy"]) == ("1", "0.75")


def test_types_are_taken_together_before_they_are_compared(run: Any, data: Path) -> None:
    groups = data / "groups.json"
    both = ["inflammatory", "spindle"]
    content = {"1": ["epithelium", [1, 2, 3], ["epithelial"]], "2": ["other", [4, 5, 6], both]}
    groups.write_text(json.dumps(content))
    found = evaluated(run, data, "--types", groups)
    assert found["type_accuracy"] == 1
    assert [row["name"] for row in found["types"].values()] == ["epithelium", "other"]
    assert found["types"]["2"]["color"] == [4, 5, 6]


def test_masks_say_what_does_not_count(run: Any, data: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[:25, 50:] = 1  # the third, whose type is wrong
    (data / "masks").mkdir()
    cv2.imwrite(str(data / "masks/x.png"), mask)
    found = evaluated(run, data, "--ignore", data / "masks")
    assert (found["type_accuracy"], found["f1"]) == (1, 1)
    assert sum(sum(row) for row in found["confusion"]) == 3
    cv2.imwrite(str(data / "masks/x.png"), mask[:9])
    argv = ("evaluate", data / "data", "--pred", data / "pred", "-o", data / "out", "-q")
    said = run(*argv, "--overwrite", "--ignore", data / "masks")
    assert said.status != 0 and "give a mask" in said.err


def test_a_model_without_types_cannot_be_given_any(run: Any, data: Path) -> None:
    scheme = data / "types.json"
    scheme.write_text('{"1": ["a", [1, 2, 3]]}')
    for typed in (False, True):
        network = build("compact", {"widths": [4, 8], "n_types": 5 if typed else None})
        types = dict(CONSEP) if typed else {}
        info = ModelInfo("compact", types=types, config=dict(network.config), mpp=0.25)
        save_model(Model(network, info, torch.device("cpu")), data / "m.safetensors")
        argv = ("segment", data / "data/x.png", "--model", data / "m.safetensors", "-q")
        said = run(*argv, "-o", data / "seg", "--types", scheme, "--device", "cpu")
        assert said.status == (0 if typed else 2), said.err
        assert typed or "has no types that could be named" in said.err
    about = json.loads((data / "seg/x.json").read_text())
    assert about["type_info"]["1"] == ["a", [1, 2, 3]]
