"""Before and after a training: two models on one image, cut alike, as pictures with captions."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core.types import Int32, Progress
from ..errors import InputError

if TYPE_CHECKING:
    from ..core.training.files import RunFolder
    from .jobs import Steps
    from .segment import RunRequest

OUTLINE = (255, 242, 51)
UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two pictures: the image with outlines, and what it shows."""

    caption: str
    picture: UInt8  # uint8 (H, W, 3)
    labels: Int32  # int32 (H, W)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two sides of one image, and what came of it in a sentence."""

    before: Side
    after: Side
    words: str


def pair_of(
    image: Any, before: tuple[str, Int32], after: tuple[str, Int32], truth: Int32 | None = None
) -> Pair:
    """Put two results over one image; scores only against a truth."""
    from ..core.measure.metrics import evaluate  # noqa: PLC0415 - on first use

    sides: list[Side] = []
    scores: list[float] = []
    for name, labels in (before, after):
        n = len(np.unique(labels)) - int((labels == 0).any())
        words = [name, f"{n:,} nuclei"]
        if truth is not None:
            scores.append(evaluate(truth, labels).aji)
            words.append(f"AJI {scores[-1]:.3f}")
        sides.append(Side(" · ".join(words), outlined(image, labels), labels))
    if np.array_equal(before[1], after[1]):
        told = "Both give the very same nuclei."
    elif scores:
        told = f"AJI on this image: before {scores[0]:.3f}, after {scores[1]:.3f}."
    else:
        changed = float(((before[1] > 0) != (after[1] > 0)).mean())
        told = f"Nucleus or not differs in {changed:.1%} of the pixels."
    return Pair(sides[0], sides[1], told)


def outlined(image: Any, labels: Int32) -> UInt8:
    """Draw outlines of nuclei into a copy of an image, (H, W) or (H, W, 3 or 4)."""
    from ..core.inference.images import as_source  # noqa: PLC0415 - on first use

    source = as_source(image)
    made: UInt8 = np.array(source.read(0, source.shape[0], 0, source.shape[1]))
    rim = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        here, there = (np.moveaxis(labels, axis, 0)[part] for part in (slice(1, None), slice(-1)))
        edge, view = here != there, np.moveaxis(rim, axis, 0)
        view[1:] |= edge & (here > 0)
        view[:-1] |= edge & (there > 0)
    made[rim] = OUTLINE
    return made


def pinned_steps(folder: RunFolder, before: int, after: int) -> Steps[Pair]:
    """Compare two epochs on the validation image whose maps a run keeps; nothing is run."""
    yield Progress(0, 0, "Reading ...")
    try:
        with np.load(folder.path / "preview" / "image.npz") as file:
            image, truth = file["image"], file["truth"]
        drawn = []
        for epoch in (before, after):
            with np.load(folder.preview_of(epoch)) as file:
                drawn.append((f"epoch {epoch}" if epoch else "before", file["labels"]))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{folder.name} has kept no picture of these epochs: {error}.") from error
    return pair_of(image, drawn[0], drawn[1], truth)


def models_steps(
    request: RunRequest, models: tuple[str, str], truth: Int32 | None = None
) -> Steps[Pair]:
    """Run both models on one image, and cut both alike; ``truth`` int32 of the region's size."""
    from ..core.inference.images import as_source  # noqa: PLC0415 - imports torch
    from .segment import ModelShelf, run_steps  # noqa: PLC0415

    shelf, drawn = ModelShelf(), []
    for name, model in zip(("before", "after"), models, strict=True):
        result = yield from run_steps(replace(request, model=model), shelf)
        drawn.append((name, result.labels))
    source = as_source(request.image)
    r0, r1, c0, c1 = request.box or (0, source.shape[0], 0, source.shape[1])
    fits = truth is not None and truth.shape == (r1 - r0, c1 - c0)
    return pair_of(source.read(r0, r1, c0, c1), drawn[0], drawn[1], truth if fits else None)
