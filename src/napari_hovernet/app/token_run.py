"""Run a token decoder on the samples of a features file: stacks of maps, nuclei and truth."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.checkpoint import load_model
from ..core.compare import compare
from ..core.hv_reading import read_hv
from ..core.image import UInt8
from ..core.magnitude import BROKEN_MAXIMA, magnitude_report
from ..core.metrics.bootstrap import bootstrap_mean
from ..core.model import ModelInfo
from ..core.separation import separate
from ..core.token_data import TokenData, find_token_data, truth_of
from ..core.token_inference import (
    TokenMaps,
    TokenParams,
    check_tokens,
    predict_tokens_steps,
    stored_prefix,
)
from ..core.token_pictures import principal_rgb
from ..core.token_prefix import AS_FILE, prefix_of
from ..core.token_split import membership
from ..core.tuning import TuneParams
from ..core.types import Int32, Progress
from ..errors import UserError
from .token_predictor import TokenChoice, choose_samples

MOST_SHOWN = 64
"""Samples of a file that are shown without being asked for more, evenly spread."""
MEANS = ("aji", "cc_aji", "oracle_aji", "magnitude", "true_magnitude", "cosine", "largest")


@dataclass(frozen=True)
class TokenRequest:
    """What to run.

    Parameters
    ----------
    checkpoint : str
        A file of the token decoder.
    features : str
        ``F_features.npz``.
    params : TokenParams
    choice : TokenChoice
    tuning : TuneParams
    device : str

    Examples
    --------
    >>> TokenRequest("best.pth", "x_features.npz").params.prefix
    'file'
    """

    checkpoint: str
    features: str
    params: TokenParams = field(default_factory=TokenParams)
    choice: TokenChoice = field(default_factory=lambda: TokenChoice(n_samples=20))
    tuning: TuneParams = field(default_factory=TuneParams)
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class TokenPictures:
    """Samples to look at.

    Parameters
    ----------
    family : str
    features : Path
    indices : tuple of int
        Which samples of the file.
    names : tuple of str
    images : uint8 (n, 224, 224, 3)
        Images, or tokens as colours where there are none.
    truth : int32 (n, 224, 224), optional
        True nuclei.
    of_tokens : bool
        Whether ``images`` show tokens.
    notes : tuple of str
    """

    family: str
    features: Path
    indices: tuple[int, ...]
    names: tuple[str, ...]
    images: UInt8
    truth: Int32 | None
    of_tokens: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TokenStacks:
    """What a run made; one plane per sample.

    Parameters
    ----------
    pictures : TokenPictures
    maps : TokenMaps
    labels : int32 (n, 224, 224)
        Nuclei, numbered anew in each plane.
    info : ModelInfo
    prefix : int
        Tokens that were taken to stand before the patches.
    which : str
        "validation (fold 3)" ...
    means : mapping of str to float
        Means over the samples, of :data:`MEANS`; NaN where there is no truth.
    counts : tuple of int
        True and predicted nuclei; -1 true ones without a truth.
    tuning : TuneParams
    notes : tuple of str
    """

    pictures: TokenPictures
    maps: TokenMaps
    labels: Int32
    info: ModelInfo
    prefix: int
    which: str
    means: dict[str, float]
    counts: tuple[int, int]
    tuning: TuneParams
    notes: tuple[str, ...]

    @property
    def summary(self) -> tuple[str, ...]:
        """What came out, in a few lines."""
        m, (true, found) = self.means, self.counts
        n = len(self.maps) - len(self.maps.errors)
        low, high = BROKEN_MAXIMA
        inside = "true" if true >= 0 else "predicted"
        lines = [f"{n} samples of {self.pictures.family}: {self.which}."]
        if true >= 0:
            lines.append(
                f"AJI {m['aji']:.3f} (connected components {m['cc_aji']:.3f}, true maps "
                f"{m['oracle_aji']:.3f}); {found:,} nuclei, {true:,} true."
            )
        else:
            lines.append(f"{found:,} nuclei; there is no truth to compare with.")
        of_truth = f" (truth {m['true_magnitude']:.2f})" if true >= 0 else ""
        lines.append(
            f"HV inside {inside} nuclei: magnitude {m['magnitude']:.2f}{of_truth}, direction "
            f"{m['cosine']:.2f}."
        )
        lines.append(
            f"[Image maximum {m['largest']:.2f}: misleading, {low:g} to {high:g} in broken runs.]"
        )
        lines.append(f"Tokens before the patches: {self.prefix}.")
        return tuple(lines)


def token_run_steps(request: TokenRequest) -> Generator[Progress, None, TokenStacks]:
    """Load, decode, separate and compare, step by step.

    Raises
    ------
    UserError
        If the checkpoint is none of a token decoder, the features do not fit it, or no sample
        could be decoded.

    Examples
    --------
    >>> from napari_hovernet.app.jobs import drive
    >>> drive(token_run_steps(TokenRequest("best.pth", "x_features.npz")))  # doctest: +SKIP
    TokenStacks(...)
    """
    yield Progress(0, 0, "Reading the checkpoint ...")
    model = load_model(request.checkpoint, request.device)
    data = find_token_data([Path(request.features)], "")
    tokens = data.tokens
    check_tokens(model, tokens.shape, tokens.dtype, request.params.prefix)
    sides = membership(model.info, data)
    indices = choose_samples(sides, request.choice)
    maps = yield from predict_tokens_steps(model, tokens, request.params, indices)
    maps = _read_as(maps, request.tuning)
    pictures = yield from picture_steps(data, indices, request.choice.truth)
    labels, means, counts = yield from _judged(maps, pictures, request.tuning)
    return TokenStacks(
        pictures=pictures,
        maps=maps,
        labels=labels,
        info=model.info,
        prefix=prefix_of(request.params.prefix, stored_prefix(model)),
        which=sides.called(indices),
        means=means,
        counts=counts,
        tuning=request.tuning,
        notes=_said(model.info, maps, pictures, sides.notes, request.params.prefix),
    )


def picture_steps(
    data: TokenData, indices: tuple[int, ...], truth: str = "auto"
) -> Generator[Progress, None, TokenPictures]:
    """Read images (or show tokens) and true nuclei of samples, step by step."""
    images, labels, notes = [], [], list(data.notes)
    of_tokens = "images" not in data.arrays
    for place, index in enumerate(indices):
        yield Progress(place, len(indices), f"Reading {data.name(index)}")
        image = data.image(index)
        if image is not None:
            images.append(image)
        try:
            found = truth_of(data, index, truth)
        except UserError as error:
            found = None
            notes.append(str(error))
        labels.append(None if found is None else found.labels)
        notes += [] if found is None else found.notes
    if of_tokens:
        yield Progress(0, 0, "Showing tokens as colours ...")
        notes.append("there are no images: patch tokens are shown by their principal components")
    stack = (
        principal_rgb(np.stack([data.tokens[i] for i in indices]))
        if of_tokens
        else np.stack(images)
    )
    return TokenPictures(
        data.family,
        data.features[0],
        indices,
        tuple(data.name(i) for i in indices),
        stack,
        _stacked(labels),
        of_tokens,
        tuple(dict.fromkeys(notes)),
    )


def evenly(n: int, most: int = MOST_SHOWN) -> tuple[int, ...]:
    """Choose samples to look at, evenly spread.

    Examples
    --------
    >>> evenly(10, 4)
    (0, 2, 5, 7)
    """
    k = min(n, most)
    return tuple(i * n // k for i in range(k))


def _stacked(labels: list[Int32 | None]) -> Int32 | None:
    """Stack labels; a sample without any is empty, none at all is None."""
    there = [x for x in labels if x is not None]
    if not there:
        return None
    empty = np.zeros_like(there[0])
    return np.stack([empty if x is None else x for x in labels])


def _read_as(maps: TokenMaps, tuning: TuneParams) -> TokenMaps:
    if tuning.hv.plain:
        return maps
    hv = np.stack([read_hv(maps.maps(i), tuning.hv).hv for i in range(len(maps))])
    return TokenMaps(maps.np, hv, maps.types, maps.indices, maps.errors, maps.notes)


def _judged(
    maps: TokenMaps, pictures: TokenPictures, tuning: TuneParams
) -> Generator[Progress, None, tuple[Int32, dict[str, float], tuple[int, int]]]:
    """Separate every sample and compare it with its truth."""
    n = len(maps)
    labels: npt.NDArray[np.int32] = np.zeros(maps.np.shape, np.int32)
    rows: list[dict[str, float]] = []
    true = 0
    for place in range(n):
        yield Progress(place, n, f"Separating {pictures.names[place]}")
        if place in maps.errors:
            continue
        one = maps.maps(place)
        labels[place] = separate(one, tuning.separation).labels
        truth = None if pictures.truth is None else pictures.truth[place]
        inside = labels[place] if truth is None else truth
        report = magnitude_report(one, inside)
        row = {"magnitude": report.inside.mean, "largest": report.whole_image_max,
               "cosine": report.direction}  # fmt: skip
        if truth is not None:
            found = compare(truth, labels[place], one, tuning.separation)
            true += found.prediction.n_true
            row |= {
                "aji": found.prediction.aji,
                "cc_aji": found.connected_components.aji,
                "oracle_aji": found.oracle.aji,
                "true_magnitude": float("nan") if found.hv is None else found.hv.true_magnitude,
            }
        rows.append(row)
    nan = float("nan")
    means = {name: bootstrap_mean([row.get(name, nan) for row in rows]).mean for name in MEANS}
    n_found = int(labels.max(axis=(1, 2), initial=0).sum())
    return labels, means, (true if pictures.truth is not None else -1, n_found)


def _said(
    info: ModelInfo,
    maps: TokenMaps,
    pictures: TokenPictures,
    sides: tuple[str, ...],
    choice: str,
) -> tuple[str, ...]:
    about = info.notes if choice == AS_FILE else ()
    failed = (f"not decoded: {text}" for text in maps.errors.values())
    return tuple(dict.fromkeys((*maps.notes, *failed, *about, *pictures.notes, *sides)))
