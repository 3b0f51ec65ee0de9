"""``evaluate`` and ``magnitude`` with ``--family``: a token decoder on cached features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.tokens.backbone import TokenFamilyParams, write_token_family
from napari_hovernet.core.types import Model, ModelInfo


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six samples of three folds, and an untrained decoder beside them."""
    folder = tmp_path_factory.mktemp("skin")
    write_token_family(folder, "skin", TokenFamilyParams(n=6, dim=8, folds=3))
    torch.manual_seed(0)
    network = OptimusDecoder(8, 4, 5).eval()
    save_model(Model(network, ModelInfo("optimus"), torch.device("cpu")), folder / "d.pth")
    return folder


def given(place: Path, *more: object) -> tuple[object, ...]:
    return ("--family", "skin", "--checkpoint", place / "d.pth", "--device", "cpu", *more)


def test_evaluate_prints_what_the_scores_are_worth(run: Any, place: Path) -> None:
    found = run("evaluate", *given(place))
    assert found.status == 0, found.err
    for words in (
        "CC AJI", "oracle", "true nuclei", "a map of zeros has", "every pixel nucleus has Dice",
        "that of the truth is", "is misleading", "Samples: 2 of 6 of skin: validation (fold 3).",
        "Tokens before the patches: 5 as the checkpoint says.",
    ):  # fmt: skip
        assert words in found.out, words
    assert found.err.count("brought from 256 x 256 to 224 x 224, nearest") == 1
    assert not list(place.glob("evaluation*"))


def test_evaluate_writes_reports_where_they_are_wanted(
    run: Any, place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = run("evaluate", *given(place), "-o", out, "--n-samples", 1, "--split", "train", "-q")
    assert found.status == 0 and not found.err
    assert {p.suffix for p in out.iterdir()} == {".csv", ".json", ".html"}
    report = json.loads((out / "evaluation.json").read_text())
    assert report["data"]["which"] == "training (folds 1, 2)"
    assert report["rows"][0]["split"] == "train"


def test_magnitude_names_the_samples_and_the_truth(run: Any, place: Path) -> None:
    found = run("magnitude", *given(place), "--json", "--split", "all", "--n-samples", 3)
    told = json.loads(found.out)
    assert told["samples"]["which"] == "validation (fold 3) and training (folds 1, 2)"
    assert [row["measured_inside"] for row in told["rows"]] == ["true nuclei"] * 3
    assert told["overall"]["true_magnitude"] == pytest.approx(0.69, abs=0.03)
    largest = [row["whole_image_max"] for row in told["rows"]]
    assert told["overall"]["whole_image_max"] == pytest.approx(np.mean(largest), abs=1e-4)


def test_the_slice_changes_the_maps_and_is_said(run: Any, place: Path) -> None:
    def means(*more: object) -> list[float]:
        found = run("magnitude", *given(place), "--json", "-q", *more)
        return [row["inside"]["mean"] for row in json.loads(found.out)["rows"]]

    assert means("--token-prefix", "5") == means()
    assert means("--token-prefix", "historical") == means("--token-prefix", "1") != means()
    said = run("magnitude", *given(place, "--token-prefix", "historical"))
    assert "1 (chosen: historical 1:257)" in said.out and "56 px" in said.err


def test_features_alone_have_a_magnitude_but_no_score(
    run: Any, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "skin_features.npz").write_bytes((place / "skin_features.npz").read_bytes())
    where = ("--data-dir", tmp_path, "--n-samples", 1)
    found = run("magnitude", *given(place, *where))
    assert found.status == 0 and "predicted" in found.out
    assert "not known: may have been trained on" in found.out
    refused = run("evaluate", *given(place, *where))
    assert refused.status == 2 and "no true nuclei" in refused.err


def test_it_says_where_it_looked(run: Any, place: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = run("magnitude", "--family", "lung", "--checkpoint", place / "d.pth")
    assert found.status == 2
    for words in ("lung_features.npz", str(place), "has skin", str(tmp_path), "--data-dir"):
        assert words in found.err, words
    write_token_family(tmp_path, "lung", TokenFamilyParams(n=1, dim=8))
    here = run("magnitude", "--family", "lung", "--checkpoint", place / "d.pth")
    assert here.status == 0, "the folder one is in is looked at as well"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("evaluate", "--family", "skin"), "Name the token decoder"),
        (("evaluate", "--family", "skin", "--pred", "x"), "--pred is about images"),
        (("evaluate", "x", "-o", "y", "--seed", "1"), "--seed needs --family"),
        (("magnitude", "x", "--token-prefix", "1"), "--token-prefix needs --family"),
        (("evaluate", "x"), "-o OUT"),
        (("evaluate", "-o", "y"), "Name the images"),
        (("magnitude",), "Name the images"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Any, argv: Any, words: str) -> None:
    found = run(*argv)
    assert found.status == 2 and words in found.err and len(found.errors) == 1


def test_another_network_is_refused(run: Any, place: Path, model_file: Path) -> None:
    found = run("evaluate", "--family", "skin", "--model", model_file, "--data-dir", place)
    assert found.status == 2 and "takes images, not tokens" in found.err
