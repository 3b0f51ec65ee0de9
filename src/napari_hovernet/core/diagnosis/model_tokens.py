"""Token decoders: which tokens are taken for patches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..hv import hv_targets
from ..networks.optimus import GRID
from ..tokens.decode import PATCH_PX, slice_words
from ..types import Int32, Maps, Progress
from .bench import Bench, Variant
from .items import Item
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_quality import PartQuality, alignment, correlation, darkness, part_quality
from .model_whatifs import Gain, certainty_of, compared, said
from .predicting import TOKENS
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Place, Plot, Remedy

ID, TITLE = "model.token_prefix", "Tokens before the patches"
PATCHES = GRID * GRID
KNOWN = (0, 1, 5)
"""Prefixes that are met: none, CLS, CLS and four registers."""
HISTORICAL = (1, 261)
"""Prefix and number of tokens of the historical slice."""
PROVEN, COUNTED, HISTORICAL_CERTAINTY, ODD = 0.97, 0.9, 0.9, 0.4
"""How certain it is by a what-if, by the number of tokens, by that slice, and if nothing tells."""


def candidates(n_tokens: int, claimed: int) -> tuple[int, ...]:
    """Return the prefixes that leave enough tokens for the patches.

    Examples
    --------
    >>> candidates(261, 1)
    (0, 1, 5)
    >>> candidates(257, 5)
    (0, 1)
    """
    possible = {*KNOWN, claimed, n_tokens - PATCHES}
    return tuple(sorted(p for p in possible if 0 <= p <= n_tokens - PATCHES))


def row_breaks(tokens: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how alike each token and the next are, by the position of the first in a row.

    Neighbours within a row of patches look alike; the last of a row and the first of the next
    do not.

    Parameters
    ----------
    tokens : array (N, D)

    Returns
    -------
    float array (16,)
        Mean cosine by ``index % 16``.
    """
    values = np.asarray(tokens, np.float64)
    values = values - values[-PATCHES:].mean(axis=0)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    start = len(values) - PATCHES + GRID
    first = np.arange(start, len(values) - 1)
    cosine = (values[first] * values[first + 1]).sum(axis=1)
    return np.array([cosine[first % GRID == k].mean() for k in range(GRID)])


def prefix_by_rows(
    breaks: npt.NDArray[np.float64], choices: Sequence[int], limits: ModelLimits = MODEL_LIMITS
) -> int | None:
    """Return the prefix whose rows end where tokens are least alike, None if that is not clear."""
    order = np.argsort(breaks)
    if breaks[order[1]] - breaks[order[0]] < limits.row_break:
        return None
    found = [p for p in choices if (p - 1) % GRID == order[0]]
    return found[0] if len(found) == 1 else None


def token_prefix(
    n_tokens: int,
    claimed: int,
    gains: Mapping[int, Gain],
    by_rows: int | None = None,
    places: Sequence[Place] = (),
    limits: ModelLimits = MODEL_LIMITS,
) -> Finding:
    """Judge whether the right tokens are taken for patches.

    Parameters
    ----------
    n_tokens : int
        Tokens of an image.
    claimed : int
        Prefix in use.
    gains : mapping of int to Gain
        Of other prefixes.
    by_rows : int, optional
        Prefix that the likeness of neighbouring tokens speaks for.
    places : sequence of Place
    limits : ModelLimits
    """
    won = {p: g for p, g in gains.items() if g.wins(limits.token_gain, limits)}
    best = max(won, key=lambda p: won[p].mean, default=None)
    usual = n_tokens - PATCHES
    tail = slice_words(claimed, n_tokens)
    rows = "" if by_rows is None else f" Rows of tokens end as with a prefix of {by_rows}."
    layout = f"Each image has {n_tokens} tokens, {usual} more than the {GRID} x {GRID} patches."
    if usual < 0 or claimed > usual:
        return _too_few(n_tokens, claimed, usual)
    historical = (claimed, n_tokens) == HISTORICAL
    if best is not None:
        what = " (the historical slice 1:257)" if historical else ""
        words = f"{layout} The {said(won[best], limits)}.{rows}"
        certainty = max(certainty_of(won[best], limits), PROVEN if best == usual else 0.0)
        title = f"Wrong tokens are taken for patches{what}"
        remedy = Remedy(
            f"Set the token prefix to {best}: {_words(claimed, best)}.", "token_prefix", best
        )
        return _found(FAULT, title, words, certainty, remedy, (claimed, best), gains, places)
    if claimed == usual:
        words = f"{layout} The prefix is {claimed}, and no other makes maps better.{rows}"
        return _found(OK, TITLE, words, 0.0, Remedy(""), (claimed, usual), gains, ())
    trained_so = any(g.mean <= -limits.token_gain for p, g in gains.items() if p == usual)
    words = f"{layout} With a prefix of {claimed} {tail}.{rows}"
    if trained_so:
        words += f" Maps get worse with {usual}: the decoder was trained on the wrong slice."
        remedy = Remedy(f"Train the decoder again with a token prefix of {usual}.")
    else:
        remedy = Remedy(
            f"Set the token prefix to {usual}: {_words(claimed, usual)}.", "token_prefix", usual
        )
    sure = historical or by_rows == usual or claimed in KNOWN
    title = "Wrong tokens are taken for patches" + (
        " (the historical slice 1:257)" if historical else ""
    )
    certainty = HISTORICAL_CERTAINTY if historical else COUNTED if sure else ODD
    return _found(
        FAULT if sure else WARN, title, words, certainty, remedy, (claimed, usual), gains, places
    )


def _words(claimed: int, right: int) -> str:
    off = abs(right - claimed)
    way = "right" if right > claimed else "left"
    return f"with {claimed} maps lie {off} columns ({off * PATCH_PX} px) to the {way}, wrapped"


def _too_few(n_tokens: int, claimed: int, usual: int) -> Finding:
    fits = usual >= 0
    words = (
        f"Each image has {n_tokens} tokens; a prefix of {claimed} and {PATCHES} patches take "
        f"{claimed + PATCHES}."
    )
    remedy = (
        Remedy(f"Set the token prefix to {usual}.", "token_prefix", usual)
        if fits
        else Remedy(f"Make features of a ViT with {GRID} x {GRID} patches.")
    )
    return _found(FAULT, "Too few tokens", words, PROVEN, remedy, (claimed, max(usual, 0)), {}, ())


def _found(  # noqa: PLR0913, PLR0917 - one place that puts a finding together
    verdict: str,
    title: str,
    words: str,
    certainty: float,
    remedy: Remedy,
    pair: tuple[int, int],
    gains: Mapping[int, Gain],
    places: Sequence[Place],
) -> Finding:
    claimed, right = pair
    plot = None
    if gains:
        prefixes = sorted({claimed, *gains})
        means = tuple(gains[p].mean if p in gains else 0.0 for p in prefixes)
        plot = Plot(
            "bars", "Agreement gained by another token prefix",
            tuple(f"prefix {p}" for p in prefixes), (("mean gain", means),),
            y_label="agreement (with it minus without)", line=0.0,
        )  # fmt: skip
    return Finding(
        ID,
        verdict,
        title,
        words,
        value=float(claimed),
        threshold=float(right),
        unit="tokens",
        certainty=certainty,
        remedy=remedy,
        numbers={f"prefix {p}": g.mean for p, g in gains.items()},
        layers=("image", "np", "target_np"),
        places=tuple(places),
        plot=plot,
    )


def quality_of(maps: Maps, item: Item) -> PartQuality:
    """Measure maps of tokens where they lie, against labels, stored targets or the image."""
    labels = resized_labels(item, maps.shape)
    image: Any = None
    if item.image is not None:
        height, width = maps.shape
        image = cv2.resize(item.image, (width, height), interpolation=cv2.INTER_AREA)
    made = part_quality(maps, image, labels, anywhere=False)
    if image is not None:
        # Unlike elsewhere it matters where the nuclei lie: no reading that mends it.
        dark = correlation(maps.np, darkness(image))
        made = PartQuality(made.np, made.hv, dark, made.own, made.confidence, made.n)
    if labels is None and item.target_np is not None:
        made = _by_targets(maps, item, made)
    return made


def _by_targets(maps: Maps, item: Item, made: PartQuality) -> PartQuality:
    size = maps.shape[::-1]
    inside = cv2.resize(np.asarray(item.target_np, np.uint8), size, interpolation=cv2.INTER_NEAREST)
    prob = abs(correlation(maps.np, inside))
    hv = prob
    if item.target_hv is not None:
        planes = [cv2.resize(p, size, interpolation=cv2.INTER_NEAREST) for p in item.target_hv]
        hv = alignment(maps.hv, np.stack(planes) * (inside > 0))
    return PartQuality(prob, hv, made.dark, made.own, made.confidence, made.n)


def resized_labels(item: Item, shape: tuple[int, int]) -> Int32 | None:
    """Return true instances at the size of the maps, None without any."""
    if item.labels is None or not item.labels.any():
        return None
    if item.labels.shape == shape:
        return item.labels
    small = cv2.resize(item.labels.astype(np.float64), shape[::-1], interpolation=cv2.INTER_NEAREST)
    made: Int32 = small.astype(np.int32)
    return made if hv_targets(made).any() else None


def run_token_prefix(bench: Bench) -> Steps:
    """Try the prefixes that leave enough tokens."""
    predictor = bench.case.predictor
    if predictor is None or predictor.reads != TOKENS or predictor.model is None:
        words = "Not tested: the network reads images, not tokens."
        yield Finding(ID, NOT_TESTED, TITLE, words)
        return
    network: Any = predictor.model.network
    own = int(getattr(network, "token_prefix", 0))
    claimed = own if bench.setup.token_prefix is None else bench.setup.token_prefix
    counts, breaks, rows = [], [], {}
    indices = [i for i in bench.variant_indices if (r := bench.raw(i)) and r.features is not None]
    for index in indices:
        raw = bench.raw(index)
        features = np.asarray(None if raw is None else raw.features)
        if features.ndim == 2 and len(features):
            counts.append(len(features))
            rows[index] = features
    if not counts:
        yield Finding(ID, NOT_TESTED, TITLE, "Not tested: there are no tokens (N, D).")
        return
    n_tokens = int(np.median(counts))
    choices = candidates(n_tokens, claimed)
    found: dict[int, list[tuple[int, PartQuality | None]]] = {p: [] for p in choices}
    for number, (index, features) in enumerate(rows.items()):
        yield Progress(number, len(rows), "other token prefixes")
        if len(features) >= PATCHES:
            breaks.append(row_breaks(features))
        for prefix in choices:
            found[prefix].append((index, _quality(bench, index, prefix)))
    by_rows = prefix_by_rows(np.mean(breaks, axis=0), choices) if breaks else None
    plain = found.get(claimed, [])
    gains = {
        p: compared(
            f"the token prefix is {p}",
            [(i, a, b) for (i, a), (_, b) in zip(plain, made, strict=True)],
        )
        for p, made in found.items()
        if p != claimed and plain
    }
    gains = {p: g for p, g in gains.items() if g.parts}
    best = max(gains.values(), key=lambda g: g.mean, default=None)
    places = [] if best is None else _places(bench, best)
    yield token_prefix(n_tokens, claimed, gains, by_rows, places)


def _quality(bench: Bench, index: int, prefix: int) -> PartQuality | None:
    maps, item = bench.variant(index, Variant(token_prefix=prefix)), bench.item(index)
    return None if maps is None or item is None else quality_of(maps, item)


def _places(bench: Bench, gain: Gain) -> list[Place]:
    made = []
    order = sorted(zip(gain.gains, gain.parts, strict=True), reverse=True)
    for won, index in order[: bench.params.n_places]:
        item = bench.item(index)
        shape = None if item is None else item.shape
        if item is not None and shape is not None and not math.isnan(won):
            words = f"maps are better by {won:.2f} if {gain.name}"
            made.append(Place(index, item.name, (0, shape[0], 0, shape[1]), words))
    return made
