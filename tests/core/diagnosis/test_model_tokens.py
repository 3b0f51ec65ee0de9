from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import TARGETS, ArrayItems, Case
from napari_hovernet.core.diagnosis.model_tokens import (
    candidates,
    prefix_by_rows,
    row_breaks,
    run_token_prefix,
    token_prefix,
)
from napari_hovernet.core.diagnosis.model_whatifs import Gain
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import Finding
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.networks.registry import Network

PATCH = 14
EDGE = 224


class Reader(Network):
    """A decoder that reads its maps right out of the tokens: (NP, H, V) of each patch."""

    accepts = "tokens"

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.token_prefix, self.config = prefix, {}
        self.geometry = OptimusDecoder(embed_dim=4, bottleneck=4).geometry

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        patches = x[:, self.token_prefix : self.token_prefix + 256].transpose(1, 2)
        planes = patches.reshape(len(x), -1, 16, 16)
        planes = torch.nn.functional.interpolate(planes, (EDGE, EDGE), mode="bilinear")
        inside = 12 * (planes[:, :1] - 0.5)
        return {"np": torch.cat((0 * inside, inside), 1), "hv": planes[:, 1:3]}


def scene(seed: int) -> np.ndarray:
    """Large nuclei, four patches across."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((EDGE, EDGE), np.int32)
    cells = [(r, c) for r in range(3) for c in range(3)]
    rng.shuffle(cells)
    for k, (r, c) in enumerate(cells[:5], 1):
        centre = (int(c * 75 + 30 + rng.integers(14)), int(r * 75 + 30 + rng.integers(14)))
        cv2.circle(labels, centre, 26, k, -1)
    return labels


def tokens_of(labels: np.ndarray, prefix: int, seed: int = 0) -> np.ndarray:
    """Tokens that hold NP, H and V of their patch."""
    from napari_hovernet.core.hv import hv_targets  # noqa: PLC0415 - only here

    planes = np.stack(((labels > 0).astype(np.float32), *hv_targets(labels)))
    small = planes.reshape(3, 16, PATCH, 16, PATCH).mean((2, 4))
    rng = np.random.default_rng(seed)
    return np.concatenate((rng.normal(size=(prefix, 3)), small.reshape(3, 256).T)).astype("f4")


def case_of(prefix: int, true_prefix: int = 5, n: int = 4, **more: Any) -> Case:
    labels = [scene(i) for i in range(n)]
    features = [tokens_of(each, true_prefix, i) for i, each in enumerate(labels)]
    stacks = {"features": features, "labels": labels, **more}
    stacks = {name: stack for name, stack in stacks.items() if stack is not None}
    kind = {"kind": TARGETS} if "np" in stacks else {}
    return Case(ArrayItems(**stacks), predictor=Predictor.of(Reader(prefix)), **kind)


def found(case: Case) -> Finding:
    made = [s for s in run_token_prefix(Bench(case)) if isinstance(s, Finding)]
    assert len(made) == 1
    return made[0]


def test_the_right_prefix() -> None:
    finding = found(case_of(5))
    assert finding.verdict == "ok" and finding.value == 5


@pytest.mark.parametrize("claimed", [0, 1])
def test_a_wrong_prefix_is_mended(claimed: int) -> None:
    case = case_of(claimed)
    finding = found(case)
    assert finding.verdict == "fault" and finding.certainty >= 0.97 and finding.places
    assert (finding.remedy.action, finding.remedy.value) == ("token_prefix", 5)
    assert ("historical" in finding.title) == (claimed == 1)
    assert found(case.with_setup(case.setup.applied(finding.remedy))).verdict == "ok"


def test_stored_targets_judge_where_there_are_no_labels() -> None:
    labels = [scene(i) for i in range(4)]
    inside = [(each > 0).astype(np.uint8) for each in labels]
    finding = found(case_of(1, labels=None, np=inside))
    assert finding.verdict == "fault" and finding.remedy.value == 5


def test_an_image_judges_where_there_is_nothing_else() -> None:
    images = [np.stack([np.where(scene(i) > 0, 90, 230)] * 3, -1).astype("u1") for i in range(4)]
    finding = found(case_of(1, labels=None, image=images))
    assert finding.verdict == "fault" and finding.remedy.value == 5


def test_the_number_of_tokens_tells_where_nothing_else_does() -> None:
    finding = found(case_of(1, labels=None))
    assert finding.verdict == "fault" and finding.remedy.value == 5
    assert "historical slice 1:257" in finding.title


def test_tokens_of_another_network() -> None:
    finding = found(case_of(5, true_prefix=1))
    assert finding.verdict == "fault" and finding.title == "Too few tokens"
    assert finding.remedy.value == 1
    assert found(case_of(1, true_prefix=1)).verdict == "ok"


def test_networks_on_images_are_not_asked() -> None:
    images = np.zeros((1, 64, 64, 3), np.uint8)
    case = Case(ArrayItems(image=images), predictor=Predictor.of(lambda image: image))
    assert found(case).verdict == "not tested"


def test_prefixes_that_fit_the_number_of_tokens() -> None:
    assert candidates(261, 5) == (0, 1, 5)
    assert candidates(256, 5) == (0,)
    assert candidates(264, 4) == (0, 1, 4, 5, 8)
    assert candidates(100, 5) == ()


def smooth(prefix: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    field = np.stack([cv2.resize(rng.normal(size=(5, 5)), (16, 16)) for _ in range(32)])
    return np.concatenate((rng.normal(size=(prefix, 32)), field.reshape(32, 256).T))


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_rows_of_tokens_tell_where_they_end(prefix: int) -> None:
    assert prefix_by_rows(row_breaks(smooth(prefix)), (0, 1, 5)) == prefix


def test_rows_of_noise_tell_nothing() -> None:
    noise = np.random.default_rng(0).normal(size=(261, 512))
    assert prefix_by_rows(row_breaks(noise), (0, 1, 5)) is None


def test_a_decoder_that_was_trained_on_the_wrong_slice() -> None:
    lost = (-0.3,) * 4
    gains = {5: Gain("the token prefix is 5", (0, 1, 2, 3), "truth", lost, 0.8, 0.5, 0.5, -0.3)}
    finding = token_prefix(261, 1, gains)
    assert finding.verdict == "fault" and not finding.remedy.action
    assert "trained on the wrong slice" in finding.evidence


def test_an_unknown_layout_is_a_warning() -> None:
    finding = token_prefix(270, 7, {})
    assert finding.verdict == "warn" and finding.remedy.value == 14
