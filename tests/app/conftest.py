"""A small data set on disk, and a stand-in for a network that is right about it."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from napari_hovernet.app.predictors import Predicted
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.io.open import read_image, read_labels
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Int32, Maps, Progress

SIZE = (64, 96)


def touching(seed: int) -> Int32:
    """Eight nuclei in four touching pairs, somewhere."""
    labels = np.zeros(SIZE, np.int32)
    shift = int(np.random.default_rng(seed).integers(0, 8))
    for i in range(4):
        r, c = 4 + 30 * (i // 2), 4 + 44 * (i % 2) + shift
        labels[r : r + 18, c : c + 16] = 2 * i + 1
        labels[r : r + 18, c + 16 : c + 32] = 2 * i + 2
    return labels


@dataclass(frozen=True)
class KnowsTheTruth:
    """Predicts the exact maps of the true labels, ``length`` times as long."""

    length: float = 1.0
    notice: str = ""

    def describe(self) -> dict[str, Any]:
        return {"model": None, "predictions": "the truth", "length": self.length}

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        yield Progress(0, 0, "reading", self.notice)
        image = read_image(pair.image).source
        labels = read_labels(pair.labels).labels
        maps = Maps(np=labels > 0, hv=hv_targets(labels) * self.length)
        stages = separate(maps)
        yield Progress(1, 1, "predicted")
        return Predicted(image, stages.labels, maps, stages.mask, notes=image.notes)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Pair, ...]:
    """Three images of two sources with labels as 16-bit PNG."""
    found = []
    for i, source in enumerate(("A", "A", "B")):
        image, labels = tmp_path / f"x{i}.png", tmp_path / f"x{i}_lab.png"
        pixels = np.random.default_rng(i).integers(0, 256, (*SIZE, 3), np.uint8)
        assert cv2.imwrite(str(image), pixels)
        assert cv2.imwrite(str(labels), touching(i).astype(np.uint16))
        found.append(Pair(f"x{i}", image, labels, source, split="val"))
    return tuple(found)


@pytest.fixture
def predictor() -> KnowsTheTruth:
    return KnowsTheTruth()


@pytest.fixture
def short_predictor() -> KnowsTheTruth:
    """Right directions, hardly any length: what the story took for the cause of the blob."""
    return KnowsTheTruth(0.02)
