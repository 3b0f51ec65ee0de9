"""Checks of a network: file, weights, layers, what goes into it, tiles, types, tokens.

What-ifs change one thing and look whether maps get better by the labels; all of them compete, and
one wins. Without labels image and maps are all there is, which is worth a warning at most. Bounds
were set on ``compact`` with images of DSB, MoNuSeg, CoNSeP and generated tissue.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from ...errors import UserError
from ..networks.optimus import GRID
from ..tokens.decode import PATCH_PX
from ..types import Maps, Progress
from .bench import Bench, Variant, on_image
from .case import Predictor
from .engine import ALONE, Steps, check, fault, ok, skip, warn
from .reading import Quality, correlation, quality
from .report import Plot, Remedy

BROKEN = ("model.checkpoint", "model.weights", "model.failures", "model.tiles")
"""Beside a decisive fault of these, no what-if is tried."""
SYMPTOMS = ("model.np", "model.place", "model.hv_*", "model.score", "separation.tuning")
SHOWN = 4


def listed(names: Sequence[str]) -> str:
    """List the first names and count the rest."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def network_of(bench: Bench) -> Any:
    """The network; None if it is a function, or there is none."""
    predictor = bench.case.predictor
    return None if predictor is None or predictor.model is None else predictor.model.network


# --- file and weights ------------------------------------------------------------------


@check("model.checkpoint", "Model file", needs=("model",), explains=("model.*", "separation.tuning"),
       first=True)  # fmt: skip
def model_file(bench: Bench) -> Steps:
    """Say why a file could not be loaded."""
    predictor, error = bench.case.predictor, bench.case.model_error
    if not error:
        info = None if predictor is None or predictor.model is None else predictor.model.info
        source = f"{info.source} is loaded whole" if info is not None and info.source else (
            "The network came as it is")  # fmt: skip
        yield ok(f"{source}; there is nothing to find fault with.")
        return
    relative = "recognised but not supported" in error
    yield fault(
        error.rstrip(".") + ".",
        title="The model file cannot be used", certainty=0.98, decisive=True,
        remedy=Remedy(
            "Run it with the code that trained it, or take another model of a kind that is known."
            if relative else
            "Take another file: the whole checkpoint as the training saved it (a download may be "
            "cut off or a pointer alone). Never load it with strict=False: what is missing would "
            "stay untrained.",
            plain="Ask who gave you the model for a file of a kind that this program knows."),
    )  # fmt: skip


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
ENOUGH, MANY = 500, 2000
"""Weights below which nothing is told of how they were drawn: uniformly, normally."""
ZEROS = 0.5
"""Share of weights that are exactly 0 (a training leaves none)."""
DRAWN = 0.8
"""Share of the large layers with the spread of a known normal initialisation, from which on a
network was never trained: one alone may have it by chance."""


@check("model.weights", "Weights", needs=("model",), explains=("model.*", "separation.tuning"),
       after=("model.checkpoint",), first=True)  # fmt: skip
def weights_were_trained(bench: Bench) -> Steps:
    """NaN, never trained, constant, zero."""
    network = network_of(bench)
    if network is None:
        yield skip("the network is a function, its layers cannot be seen")
        return
    entries = (*network.named_parameters(), *network.named_buffers())
    bad = [name for name, value in entries
           if value.is_floating_point() and not bool(torch.isfinite(value).all())]  # fmt: skip
    if bad:
        yield fault(
            f"{len(bad)} weights hold NaN or infinite values: {listed(bad)}.",
            title="The network holds NaN", value=len(bad), threshold=1, unit="weights",
            certainty=0.98, decisive=True,
            remedy=Remedy("Take an earlier checkpoint: the training diverged, or the file is "
                          "damaged.", plain="The model is damaged; get another file of it."),
        )  # fmt: skip
        return
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, WEIGHTED)]
    norms = [name for name, m in network.named_modules() if _fresh_norm(m)]
    uniform = [name for name, m in layers if _uniform(m.weight)]
    large = [m.weight for _, m in layers if m.weight.numel() >= MANY]
    normal = sum(map(_normal, large))
    never = len(large) > 2 and normal >= DRAWN * len(large)
    zeros = [name for name, m in layers if m.weight.numel() > 8 and _lost(m.weight)]
    fresh = [*norms, *uniform, *([f"{normal} of {len(large)} large layers"] if never else [])]
    if not fresh and not zeros:
        yield ok(
            f"All weights are finite, and those of {len(layers)} layers have left the "
            "distribution they were drawn from.",
            value=0,
            threshold=1,
            unit="layers",
        )
        return
    said = []
    if fresh:
        said.append(f"weights or batch norms are as they are drawn at the start in {listed(fresh)}")
    if zeros:
        said.append(f"weights are 0 (or all the same) in {listed(zeros)}")
    whole = never or len(fresh) >= 0.9 * len(layers)
    parts = dict.fromkeys(".".join(name.split(".")[:2]) for name in (*fresh, *zeros))
    yield fault(
        f"{'; '.join(said).capitalize()}. In a trained network there are none.",
        title="The network was never trained" if whole else
        f"Layers were never trained, or lost their weights: {listed(list(parts))}",
        value=len(fresh) + len(zeros), threshold=1, unit="layers", decisive=True,
        certainty=0.97 if fresh else 0.9,
        remedy=Remedy(
            "Load the checkpoint strictly (load_state_dict(..., strict=True)) and mend what it "
            "names: these layers got no weights from the file. Or train them.",
            plain="The model was loaded in part only; ask who made it for the whole file."),
    )  # fmt: skip


def _fresh_norm(module: nn.Module) -> bool:
    """Whether a batch norm is exactly as it starts, weights and all."""
    return (
        isinstance(module, NORMS)
        and _fresh_statistics(module)
        and (not module.affine or bool((module.weight == 1).all() and (module.bias == 0).all()))
    )


def _fresh_statistics(module: Any) -> bool:
    return module.running_var is not None and bool(
        (module.running_mean == 0).all() and (module.running_var == 1).all()
    )


def _uniform(weight: torch.Tensor) -> bool:
    """Whether weights fill torch's default (uniform) initialisation evenly and no further."""
    if weight.numel() < ENOUGH:
        return False
    bound = 1 / math.sqrt(max(weight[0].numel(), 1))
    weight = weight.detach()
    largest, std = float(weight.abs().max()) / bound, float(weight.std()) / bound * math.sqrt(3)
    return 0.98 <= largest <= 1 + 1e-6 and abs(std - 1) <= 0.05


def _normal(weight: torch.Tensor) -> bool:
    """Whether weights are normal with the spread of a usual initialisation."""
    values = weight.detach().double().flatten()
    n, std = len(values), float(values.std())
    if std == 0:
        return False
    peaked = float(((values - values.mean()) / std).pow(4).mean()) - 3
    fan_in, fan_out = weight[0].numel(), weight.shape[0] * weight[0, 0].numel()
    usual = (1 / fan_in, 2 / fan_in, 2 / fan_out, 2 / (fan_in + fan_out), 0.02**2, 0.01**2)
    near = any(abs(std / math.sqrt(v) - 1) <= 3 / math.sqrt(2 * n) + 0.005 for v in usual)
    return near and abs(peaked) <= 4 * math.sqrt(24 / n) + 0.02


def _lost(weight: torch.Tensor) -> bool:
    same = bool((weight == weight.flatten()[0]).all())
    return same or float((weight == 0).float().mean()) >= ZEROS


# --- chance and tiles ------------------------------------------------------------------

SAME_NP, STEADY_NP, STEADY_HV = 0.05, 0.93, 0.9
"""Difference of NP between two predictions; correlation and cosine in another tile (1 in health)."""
OFFSET, MARGIN = (16, 48), 32
"""Rows and columns by which the other tile begins later; rim that is left out; pixels."""


@check("model.tiles", "The same place again, and in another tile", needs=("model", "image"),
       after=BROKEN, explains=(*SYMPTOMS, "model.mpp", "model.input"))  # fmt: skip
def the_same_place_again(bench: Bench) -> Steps:
    """Does the answer depend on chance, or on where the tile begins."""
    predictor = bench.case.predictor
    if predictor is None or predictor.reads != "image":
        yield skip("the network reads tokens, not images")
        return
    rows: list[tuple[float, float, float]] = []
    for index in bench.variant_indices[:3]:
        began = time.process_time()
        yield Progress(len(rows), 3, "the same place in another tile")
        made = _again(bench, index)
        if made is not None:
            rows.append(made)
        if time.process_time() - began > SLOW:
            break
    if not rows:
        yield skip("no image could be predicted twice")
        return
    difference = max(r[0] for r in rows)
    prob, hv = (float(np.nanmedian([r[k] for r in rows])) if not all(
        math.isnan(r[k]) for r in rows) else 1.0 for k in (1, 2))  # fmt: skip
    words = (
        f"Two predictions of the same pixels differ by at most {difference:.3f} in NP; in a tile "
        f"that begins elsewhere NP agrees by {prob:.2f} and HV by {hv:.2f} (1 in health)."
    )
    labelled = "labels" in bench.case.has
    common: dict[str, Any] = {"layers": ("image", "np", "hv_x"),
                              "numbers": {"difference": difference, "NP": prob, "HV": hv}}  # fmt: skip
    if difference > SAME_NP:
        yield fault(words, title="The network answers at random", value=difference,
                    threshold=SAME_NP, unit="NP", certainty=0.95,
                    remedy=Remedy("Call network.eval(): dropout or batch statistics are in use, or "
                                  "something random is left in its code."),
                    plain="Run it twice and you get two results.", decisive=True, **common)  # fmt: skip
    elif prob < STEADY_NP or hv < STEADY_HV:
        yield (fault if labelled else warn)(
            words, title="Maps depend on where the tile begins", value=min(prob, hv),
            threshold=STEADY_NP, unit="correlation", certainty=0.9 if labelled else ALONE,
            remedy=Remedy("Predict in larger tiles with a halo (overlap, margin) that is thrown "
                          "away, and never resize tiles to a fixed size; batch norm must use its "
                          "running statistics."),
            plain="Nuclei look different along the seams of tiles.", **common)  # fmt: skip
    else:
        yield ok(words, value=prob, threshold=STEADY_NP, **common)


def _again(bench: Bench, index: int) -> tuple[float, float, float] | None:
    """Largest difference of NP, and agreement of NP and HV in a tile that begins elsewhere."""
    rows, cols = OFFSET
    first = bench.variant(index)
    second = bench.part_changed(index, lambda part: part)
    if first is None or second is None:
        return None
    difference = float(np.abs(first.np - second.np).max(initial=0))
    if min(first.shape[0] - rows, first.shape[1] - cols) < 4 * MARGIN:
        return difference, math.nan, math.nan
    other = bench.part_changed(index, lambda part: part[rows:, cols:])
    if other is None:
        return difference, math.nan, math.nan
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    a, b = first.np[rows:, cols:][inner], other.np[inner]
    x, y = first.hv[:, rows:, cols:][(slice(None), *inner)], other.hv[(slice(None), *inner)]
    inside = (a >= 0.5) & (b >= 0.5)
    size = (np.hypot(*x) * np.hypot(*y))[inside]
    enough = inside.sum() >= 50 and float(np.median(size)) > 1e-6
    cosine = float(((x * y).sum(0)[inside] / np.maximum(size, 1e-6)).mean()) if enough else math.nan
    flat = min(a.std(), b.std()) < 0.02
    return difference, math.nan if flat else correlation(a, b), cosine


# --- what-ifs --------------------------------------------------------------------------

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's."""
USUAL_MEAN, USUAL_STD = (189.0, 146.0, 183.0), (44.0, 52.0, 38.0)
"""Of red, green and blue in usual H&E images."""
NORM = "batch norm takes its statistics from these images"
ZOOMS = (0.5, 2.0, 0.35, 0.71, 1.41, 2.8)
FIRST_LOOK, PROMISING = 2, 5
"""Parts on which everything is tried, and what-ifs that are tried on all parts."""
SLOW = 2.0
"""CPU seconds of one part (a hover_net takes 8, ``compact`` 0.2) from which on little is tried."""
FITS = 0.5
"""Correlation of NP with the labels that a what-if must reach to be believed."""
BETTER_IN, COUNTS = 0.7, 0.01
"""Share of the images that must get better, and by how much."""
SIMPLER = 0.1
"""Share of the gain that a less simple what-if must bring beyond a simpler one."""
USUAL = (15.0, 48.0)
"""Pixels across: true nuclei, by area, as networks know them (the sources: 16 to 39)."""
GOOD = 0.8
"""Agreement with the labels from which on a slow network is not asked what-ifs."""


@dataclass(frozen=True, eq=False)
class WhatIf:
    """One thing changed; simpler ones come first."""

    name: str  # "if ..."
    kind: str  # "input", "norm" or "zoom"
    need: float  # Least mean gain of agreement
    change: Callable[[torch.Tensor], torch.Tensor] | None = None  # Of float 0..255 (B, 3, H, W)
    zoom: float = 1.0
    remedy: Remedy = Remedy("")
    title: str = ""


def _per_channel(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


def _usual(x: torch.Tensor) -> torch.Tensor:
    mean, std = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True)
    return ((x - mean) / (std + 1) * _per_channel(USUAL_STD, x)
            + _per_channel(USUAL_MEAN, x)).clamp(0, 255)  # fmt: skip


def _stretched(x: torch.Tensor) -> torch.Tensor:
    some = x.flatten(2)[..., ::7].contiguous()
    low, high = (torch.quantile(some, q, dim=2)[..., None, None] for q in (0.01, 0.95))
    return (20 + (x - low) / (high - low + 1) * 220).clamp(0, 255)


def _what_ifs() -> Iterator[WhatIf]:
    bgr = Remedy("Give the network RGB: images with red first (OpenCV reads BGR), or turn the "
                 "channels round before it.", "channel_order", "bgr")  # fmt: skip
    yield WhatIf("red and blue change places", "input", 0.015, lambda x: x.flip(1), remedy=bgr,
                 title="Red and blue are swapped (BGR for RGB)")  # fmt: skip
    for factor, title, text in (
        (255.0, "The network sees 0..1 where 0..255 is expected",
         "Divide by 255 once only: multiply images by 255 before they become whole numbers, or "
         "leave out the second division."),
        (1 / 255, "The network sees 0..255 where 0..1 is expected",
         "Divide images by 255 before this network, as in its training."),
        (4.0, "Images are too dark for the network",
         "Use images of full range (0..255): these are dark; mend the exposure or the conversion."),
        (2.0, "Images are dark for the network",
         "Use images of full range (0..255): these are dark; mend the exposure or the conversion."),
    ):  # fmt: skip
        name = f"values are {'multiplied' if factor > 1 else 'divided'} by {max(factor, 1 / factor):.0f}"
        yield WhatIf(name, "input", 0.08, lambda x, f=factor: x * f,
                     remedy=Remedy(text, "input_factor", factor), title=title)  # fmt: skip
    for gamma in (1 / 3, 0.5, 2.0):
        yield WhatIf(f"values are raised to {gamma:.2g} (gamma)", "input", 0.05,
                     lambda x, g=gamma: 255 * (x.clamp(0, 255) / 255) ** g,
                     remedy=Remedy("Undo the gamma: images are linear in light (or were brightened) "
                                   "where the network knows sRGB.", "input_gamma", gamma),
                     title="Images have another gamma than the network knows")  # fmt: skip
    for offset in (-100.0, -50.0):
        yield WhatIf(f"{-offset:.0f} is subtracted", "input", 0.05, lambda x, o=offset: x + o,
                     remedy=Remedy(f"Find what adds an offset of about {-offset:.0f} to the levels "
                                   "(black is not 0), and subtract it."),
                     title="An offset was added to the images")  # fmt: skip
    yield WhatIf("dark and bright change places", "input", 0.05, lambda x: 255 - x,
                 remedy=Remedy("Images are inverted (a negative): give 255 minus them."),
                 title="Images are inverted")  # fmt: skip
    yield WhatIf("a normalisation by ImageNet's mean is undone", "input", 0.05,
                 lambda x: 255 * (x * _per_channel(STD, x) + _per_channel(MEAN, x)),
                 remedy=Remedy("Leave out the normalisation by ImageNet's mean and deviation: this "
                               "network expects 0..255."),
                 title="Images are normalised for another network")  # fmt: skip
    yield WhatIf(
        "images are normalised by ImageNet's mean",
        "input",
        0.05,
        lambda x: (x / 255 - _per_channel(MEAN, x)) / _per_channel(STD, x),
        remedy=Remedy("Normalise images by ImageNet's mean and deviation, as in the training."),
        title="Images lack the normalisation of the training",
    )
    yield WhatIf("all channels are as the brightest", "input", 0.05,
                 lambda x: x.amax(1, keepdim=True).expand_as(x),
                 remedy=Remedy("Channels of the image are missing: look at how its colours are read "
                               "and written."), title="Channels of the images are empty")  # fmt: skip
    yield WhatIf(NORM, "norm", 0.04)
    for zoom in ZOOMS:
        yield WhatIf(f"the image is resized {zoom:g} times", "zoom", 0.03, zoom=zoom)
    text = ("Bring black and white level, contrast and stain to those of the training, or "
            "fine-tune the network on images like these.")  # fmt: skip
    for name, look in (("levels are stretched", _stretched), ("colours are made usual", _usual)):
        yield WhatIf(name, "input", 0.06, look, remedy=Remedy(text),
                     title="Images look foreign to the network")  # fmt: skip


def _asks_for(zoom: float, plain: Sequence[Quality]) -> bool:
    """Whether nuclei have an unusual size, and a zoom brings them nearer to the usual one."""
    size = float(np.median([q.diameter for q in plain]))
    return size > USUAL[1] if zoom < 1 else 0 < size < USUAL[0]


@dataclass(frozen=True, eq=False)
class Gain:
    """What a what-if brought."""

    what: WhatIf
    before: tuple[Quality, ...]
    after: tuple[Quality, ...]

    @property
    def gains(self) -> tuple[float, ...]:
        """Agreement gained, part by part."""
        return tuple(b.both - a.both for a, b in zip(self.before, self.after, strict=True))

    @property
    def mean(self) -> float:
        """Mean gain."""
        return float(np.mean(self.gains))

    @property
    def wins(self) -> bool:
        """Whether it helps clearly, in nearly all parts, by NP as well as by HV."""
        need = self.what.need * (1 if len(self.gains) > 2 else 2)
        better = np.mean(np.array(self.gains) > COUNTS) >= BETTER_IN
        mended = min(np.median([q.np for q in self.after]), np.median([q.both for q in self.after]))
        return bool(self.mean >= need and better and mended >= FITS and self._plausible)

    @property
    def _plausible(self) -> bool:
        """Whether nuclei have an unusual size, and a zoom brings them nearer to the usual one."""
        if self.what.kind != "zoom":
            return True
        by_np = float(np.mean([b.np - a.np for a, b in self.pairs]))
        return by_np > 0 and _asks_for(self.what.zoom, self.before)

    @property
    def pairs(self) -> Iterator[tuple[Quality, Quality]]:
        """Before and after, part by part."""
        return zip(self.before, self.after, strict=True)

    @property
    def words(self) -> str:
        """Say it."""
        before, after = (float(np.mean([q.both for q in qs])) for qs in (self.before, self.after))
        judge = "the labels" if self.before[0].by_labels else "the image and themselves"
        better = sum(g > COUNTS for g in self.gains)
        return (f"agreement of the maps with {judge} goes from {before:.2f} to {after:.2f} if "
                f"{self.what.name} (better in {better} of {len(self.gains)} images)")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sweep:
    """All what-ifs, and the one that wins."""

    tried: tuple[Gain, ...] = ()
    winner: Gain | None = None
    plain: tuple[Quality, ...] = ()  # As it is
    why: str = ""  # Why nothing was tried

    def best(self, kind: str) -> Gain | None:
        """What brought most, of a kind."""
        return max((g for g in self.tried if g.what.kind == kind), key=lambda g: g.mean,
                   default=None)  # fmt: skip


@dataclass(eq=False)
class _Parts:
    """Parts of images and how they are predicted under what-ifs."""

    bench: Bench
    slow: bool = False
    known: dict[tuple[int, str], Quality | None] = field(default_factory=dict)

    def quality(self, index: int, what: WhatIf | None) -> Quality | None:
        key = (index, "" if what is None else what.name)
        if key not in self.known:
            self.known[key] = self._measured(index, what)
        return self.known[key]

    def _measured(self, index: int, what: WhatIf | None) -> Quality | None:
        item, box, predictor = (
            self.bench.item(index),
            self.bench.box(index),
            self.bench.case.predictor,
        )
        if item is None or item.image is None or box is None or predictor is None:
            return None
        r0, r1, c0, c1 = box
        if self.slow:
            r1, c1 = min(r1, r0 + 128), min(c1, c0 + 128)
        image = item.image[r0:r1, c0:c1]
        labels = item.labels
        part = (
            None if labels is None or labels.shape != item.image.shape[:2] else labels[r0:r1, c0:c1]
        )
        try:
            return quality(self._predict(predictor, image, what), part, image)
        except UserError:
            return None

    def _predict(self, predictor: Predictor, image: Any, what: WhatIf | None) -> Maps:
        zoom, network = self.bench.setup.zoom, None
        if predictor.model is not None:
            network = predictor.model.network
        if what is None or what.kind == "zoom":
            return on_image(
                predictor, image, Variant(zoom=zoom * (1 if what is None else what.zoom))
            )
        if what.kind == "norm":
            twin = self.bench.once("adapted", lambda: adapted(self.bench))
            return on_image(twin or predictor, image, Variant(zoom=zoom))
        if what.change is None:
            return on_image(predictor, image, Variant(zoom=zoom))
        if network is None:  # a function gets whole numbers
            given = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
            image = what.change(given)[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
        with nullcontext() if network is None else entering(network, what.change):
            return on_image(predictor, image, Variant(zoom=zoom))


@contextmanager
def entering(network: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Change what enters a network, for as long as the block lasts."""
    handle = network.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    try:
        yield
    finally:
        handle.remove()


def sweep_steps(bench: Bench) -> Generator[Progress, None, Sweep]:
    """Try all what-ifs on two parts, the promising ones on all; kept by the bench."""
    kept: list[Sweep] = bench.once("sweep", list)
    if not kept:
        kept.append((yield from _sweep(bench)))
    found: Sweep = kept[0]
    return found


def _sweep(bench: Bench) -> Generator[Progress, None, Sweep]:
    predictor, began = bench.case.predictor, time.process_time()
    if predictor is None or predictor.reads != "image":
        return Sweep(why="the network reads tokens, not images")
    parts, plain = _Parts(bench), {}
    for index in bench.variant_indices:
        yield Progress(0, 1, "parts of images")
        found = parts.quality(index, None)
        plain |= {} if found is None else {index: found}
        parts.slow = parts.slow or time.process_time() - began > SLOW * (len(plain) + 1)
        if parts.slow and plain:
            break
    if not plain:
        return Sweep(why="no part of an image could be predicted")
    if parts.slow:
        parts.known.clear()
        plain = {i: q for i in plain if (q := parts.quality(i, None)) is not None}
    base = tuple(plain.values())
    if parts.slow and (not base or (base[0].by_labels and base[0].both >= GOOD)):
        return Sweep(plain=base, why="the network is slow, and its maps fit as they are")
    wanted = [w for w in _what_ifs() if not (w.kind == "norm" and network_of(bench) is None)]
    wanted = wanted[:3] + [w for w in wanted if w.zoom in ZOOMS[:2]] if parts.slow else wanted
    wanted = [w for w in wanted if w.kind != "zoom" or _asks_for(w.zoom, base)]
    tried: list[Gain] = []
    for done, what in enumerate(wanted):
        yield Progress(done, len(wanted), f"what if {what.name}")
        tried += _gain(parts, what, plain, list(plain)[:FIRST_LOOK])
    promising = sorted((g for g in tried if g.mean >= what_needs(g)), key=lambda g: -g.mean)
    for at, gain in enumerate(promising[:PROMISING]):
        yield Progress(at, PROMISING, f"what if {gain.what.name}")
        tried[tried.index(gain)] = next(iter(_gain(parts, gain.what, plain, list(plain))), gain)
    won = [g for g in tried if g.wins and len(g.gains) == len(plain)]
    most = max((g.mean for g in won), default=0.0)
    order = {w.name: k for k, w in enumerate(wanted)}
    winner = min((g for g in won if g.mean >= most * (1 - SIMPLER)), key=lambda g: order[g.what.name],
                 default=None)  # fmt: skip
    return Sweep(tuple(tried), winner, base)


def what_needs(gain: Gain) -> float:
    """Least gain on the first parts for a closer look."""
    return gain.what.need / 2


def _gain(parts: _Parts, what: WhatIf, plain: dict[int, Quality], on: Sequence[int]) -> list[Gain]:
    pairs = [(plain[i], q) for i in on if (q := parts.quality(i, what)) is not None]
    return [Gain(what, *zip(*pairs, strict=True))] if len(pairs) == len(on) else []


@check("model.input", "What goes into the network", needs=("model", "image"), after=BROKEN,
       explains=(*SYMPTOMS, "model.activations", "model.mpp", "model.tiles", "data.images",
                 "data.complete"))  # fmt: skip
def what_goes_in(bench: Bench) -> Steps:
    """Colour order, range, gamma, offset, normalisation: one winner."""
    sweep = yield from sweep_steps(bench)
    best = sweep.best("input")
    if best is None:
        yield skip(sweep.why or "nothing could be tried")
        return
    blind = yield from _blind(bench)
    won = sweep.winner
    common: dict[str, Any] = {"layers": ("image", "np", "hv_x"), "unit": "agreement"}
    if blind:
        yield fault(blind, title="The network sees nothing of the image", certainty=0.92,
                    remedy=Remedy("Look at what enters it: values of 0..1 made whole numbers are "
                                  "all 0; a cached or blank array is given every time; or every "
                                  "answer is a constant: the same for all input."),
                    **common)  # fmt: skip
    elif won is None or won.what.kind != "input":
        yield ok(
            f"Of all other ways in, the {best.words}; that is no gain that counts.",
            value=best.mean,
            threshold=best.what.need,
            **common,
        )
    else:
        labelled = won.before[0].by_labels
        sure = 0.93 + min(won.mean, 0.25) / 5
        remedy = won.what.remedy
        if remedy.action == "channel_order" and bench.setup.channel_order == "bgr":
            remedy = replace(remedy, value="rgb")
        elif remedy.action in ("input_factor", "input_gamma"):
            now = getattr(bench.setup, remedy.action)
            remedy = replace(remedy, value=remedy.value * now)
        yield (fault if labelled else warn)(
            f"The {won.words}; in health all of that makes maps worse.",
            title=won.what.title, value=won.mean, threshold=won.what.need,
            certainty=sure if labelled else ALONE, remedy=remedy, plot=_gains_plot(sweep),
            plain="The network was made for pictures that look different from these.", **common,
        )  # fmt: skip


def _gains_plot(sweep: Sweep) -> Plot:
    best = sorted(sweep.tried, key=lambda g: -g.mean)[:8]
    return Plot("bars", "Agreement gained if ...", tuple(g.what.name for g in best),
                (("gain", tuple(g.mean for g in best)),), y_label="agreement", line=0.0)  # fmt: skip


SAME = 0.005
"""Mean difference between maps of an image and of its negative (healthy: 0.1 and more)."""


def _blind(bench: Bench) -> Generator[Progress, None, str]:
    """Say that the network gives the same whatever the image is, "" if it does not."""
    largest, n = 0.0, 0
    for index in bench.variant_indices[:2]:
        yield Progress(0, 1, "the negative of an image")
        plain, other = bench.variant(index), bench.part_changed(index, lambda part: 255 - part)
        if plain is None or other is None:
            continue
        n += 1
        largest = max(largest, float(np.abs(plain.np - other.np).mean()),
                      float(np.abs(plain.hv - other.hv).mean()))  # fmt: skip
        if largest > SAME:
            return ""
    return f"Maps of an image and of its negative differ by {largest:.4f} on average." if n else ""


STRONG_ZOOM = 1.8


@check("model.mpp", "Magnification", needs=("model", "image"), after=BROKEN,
       explains=(*SYMPTOMS, "model.activations", "model.tiles", "data.complete"))  # fmt: skip
def magnification(bench: Bench) -> Steps:
    """Are nuclei as large as the network knows them."""
    sweep = yield from sweep_steps(bench)
    best, found = sweep.best("zoom"), [q.diameter for q in sweep.plain if q.diameter]
    if not found:
        yield skip(sweep.why or "no nucleus was found")
        return
    size = float(np.median(found))
    words = f"Nuclei are about {size:.0f} px across (usual {USUAL[0]:.0f} to {USUAL[1]:.0f})"
    if best is None:
        yield ok(f"{words}.", value=size, threshold=USUAL[1], unit="px")
        return
    won = sweep.winner
    if won is None or won.what.kind != "zoom":
        yield ok(f"{words}; the {best.words}.", value=best.mean, threshold=best.what.need,
                 unit="agreement")
        return
    zoom = won.what.zoom
    strong = max(zoom, 1 / zoom) >= STRONG_ZOOM and won.before[0].by_labels
    yield (fault if strong else warn)(
        f"The {won.words}. {words}.",
        title=f"Nuclei are {'larger' if zoom < 1 else 'smaller'} than the network knows "
              "(magnification)",
        value=won.mean, threshold=won.what.need, unit="agreement",
        certainty=0.95 if strong else 0.4, layers=("image", "np", "instances"),
        remedy=Remedy(f"Resize images {zoom * bench.setup.zoom:.2g} times before the network (give "
                      "their mpp and that of the model, if known).", "zoom",
                      round(zoom * bench.setup.zoom, 4)),
        plot=_gains_plot(sweep),
        plain="The picture was taken at another magnification than the network was made for.",
    )  # fmt: skip


# --- layers ----------------------------------------------------------------------------

LEAST_CHANNELS, DEAD, FLAT = 4, 0.9, 0.45
"""Channels of a layer that is judged; share that is 0 everywhere, or the same everywhere."""
EXPLODES, GROWTH = 1e4, 1e3
"""Largest value in a network, and typical values of a layer by those before (healthy: 300, 30)."""
CONSTANT = 1e-6
MISFIT = 3.5
"""Variance in a layer by that of its training, of which the layers before know (healthy: up to 2)."""
HUGE, TINY = 1e8, 1e-10


@dataclass(eq=False)
class _Layer:
    """What one layer gave over all images."""

    name: str
    low: Any
    high: Any
    spread: Any
    size: float
    finite: bool

    @property
    def largest(self) -> float:
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))

    @property
    def flat(self) -> float:
        """Share of the channels that are the same everywhere."""
        return float((self.spread <= CONSTANT * max(self.largest, 1.0)).mean())

    @property
    def dead(self) -> float:
        """Share of the channels of a rectified layer that are 0 everywhere."""
        rectified = bool((self.low >= 0).all() and (self.low == 0).any())
        return float((self.high == 0).mean()) if rectified else 0.0


@contextmanager
def _watched(network: nn.Module) -> Iterator[dict[str, _Layer]]:
    seen: dict[str, _Layer] = {}

    def take(name: str, output: Any) -> None:
        if isinstance(output, dict):
            for head, value in output.items():
                take(f"output {head}", value)
        elif isinstance(output, torch.Tensor) and output.ndim > 2 and output.is_floating_point():
            flat = output.detach().float().transpose(0, 1).flatten(1)
            finite = bool(torch.isfinite(flat).all())
            flat = flat if finite else torch.nan_to_num(flat, 0.0, 0.0, 0.0)
            made = _Layer(name, *(x.double().cpu().numpy() for x in (
                flat.amin(1), flat.amax(1), flat.std(1, correction=0))),
                float(flat.square().mean().sqrt()), finite)  # fmt: skip
            old = seen.get(name)
            if old is not None and len(old.low) == len(made.low):
                made = _Layer(name, np.minimum(made.low, old.low), np.maximum(made.high, old.high),
                              np.maximum(made.spread, old.spread), max(made.size, old.size),
                              made.finite and old.finite)  # fmt: skip
            seen[name] = made

    handles = [m.register_forward_hook(lambda _, __, out, n=name: take(n, out))
               for name, m in network.named_modules()]  # fmt: skip
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _run_part(bench: Bench, index: int) -> None:
    predictor, raw = bench.case.predictor, bench.raw(index)
    if predictor is not None and predictor.reads == "features":
        if raw is not None and raw.features is not None:
            try:
                predictor.maps(raw.features, bench.setup.token_prefix)
            except UserError:
                return
    else:
        bench.part_changed(index, lambda part: part[:128, :128])


@check("model.activations", "Layers and batch norm", needs=("model",), after=BROKEN,
       explains=(*SYMPTOMS, "model.tiles", "model.mpp"))  # fmt: skip
def layers_and_batch_norm(bench: Bench) -> Steps:
    """Dead, exploding or constant layers; batch norm in training mode, or of other data."""
    network = network_of(bench)
    if network is None:
        yield skip("the network is a function, its layers cannot be seen")
        return
    yield from (said := list(_norm_states(network)))
    with _watched(network) as seen:
        for index in bench.variant_indices[:2]:
            yield Progress(0, 1, "watching the layers")
            _run_part(bench, index)
    layers = list(seen.values())
    plot = (
        Plot(
            "lines",
            "Size of the values, layer by layer",
            tuple(range(len(layers))),
            (
                (
                    "log10 of the largest",
                    tuple(float(np.log10(max(x.largest, 1e-12))) for x in layers),
                ),
            ),
            "layer",
            "log10",
        )
        if layers
        else None
    )
    broken = _broken(layers)
    if broken is not None:
        title, words, text, certainty = broken
        yield fault(words, title=title, certainty=certainty, remedy=Remedy(text), plot=plot,
                    layers=("np", "hv_x", "hv_y"))  # fmt: skip
        return
    if said:
        return
    sweep = yield from sweep_steps(bench)
    gain, won = sweep.best("norm"), sweep.winner
    words = (
        f"{len(layers)} layers give finite values of at most "
        f"{max((x.largest for x in layers), default=0):.3g}."
    )
    if won is not None and won.what.kind == "norm":
        labelled = won.before[0].by_labels
        yield (fault if labelled else warn)(
            f"The {won.words}.", title="Statistics of batch norm do not fit the data",
            value=won.mean, threshold=won.what.need, unit="agreement",
            certainty=0.9 if labelled else ALONE,
            remedy=Remedy("Check that the running statistics were saved and loaded; let the network "
                          "see images like these in training mode once, or fine-tune it."),
        )  # fmt: skip
        return
    yield Progress(0, 1, "batch norm")
    name, ratio = bench.once("misfit", lambda: misfit(bench))
    if ratio > MISFIT:
        labelled = bool(sweep.plain) and sweep.plain[0].by_labels
        poor = labelled and float(np.mean([q.both for q in sweep.plain])) < GOOD
        yield (fault if poor else warn)(
            f"{words} What enters {name} has {ratio:.1f} times the spread that it was trained with "
            "(healthy: below 2), that before it fits.",
            title=f"Weights before {name} and its statistics do not belong together",
            value=ratio, threshold=MISFIT, unit="ratio", certainty=0.85 if poor else 0.45, plot=plot,
            remedy=Remedy("Load the checkpoint anew, strictly and by the names of its own code: "
                          "weights of another layer or file stand there, or were changed."),
        )  # fmt: skip
        return
    yield ok(words + (f" Adapting batch norm gains {gain.mean:+.3f}." if gain else ""), plot=plot)


def _broken(layers: Sequence[_Layer]) -> tuple[str, str, str, float] | None:
    """Title, evidence, remedy and certainty of the first thing that is wrong."""
    earlier = "take an earlier checkpoint, or train again with a smaller learning rate."
    sizes: list[float] = []
    for x in layers:
        if not x.finite:
            return (f"Values become NaN or infinite in layer {x.name}", f"The first is {x.name}.",
                    f"Run in float32; {earlier}", 0.95)  # fmt: skip
        before = float(np.median(sizes)) if sizes else 0.0
        if x.largest > EXPLODES or (before > 0 and x.size > GROWTH * before):
            return (f"Values explode in layer {x.name}", f"Values reach {x.largest:.3g} in {x.name}; "
                    f"those before are about {before:.3g} (healthy: up to 300).",
                    f"Look at weights and batch norms of that layer, and at the scale of the input; "
                    f"{earlier}", 0.92)  # fmt: skip
        sizes.append(x.size)
    for x in layers:
        n = len(x.low)
        if x.name.startswith("output") and x.flat == 1:
            return (f"The network's {x.name[7:]} is the same everywhere", f"{x.name} does not change "
                    "over the image.", f"The network is dead: {earlier}", 0.9)  # fmt: skip
        if n >= LEAST_CHANNELS and x.dead >= DEAD:
            return (f"Layer {x.name} is dead", f"{x.dead:.0%} of its {n} channels are 0 everywhere.",
                    f"Weights were lost or training killed it: {earlier}", 0.88)  # fmt: skip
        if n >= LEAST_CHANNELS and x.flat >= FLAT and x.dead == 0:
            return (f"Channels of layer {x.name} are dead", f"{x.flat:.0%} of its {n} channels are "
                    "the same everywhere.", f"Weights were set to zero, pruned or not loaded: "
                    f"{earlier}", 0.9)  # fmt: skip
    return None


def _norm_states(network: Any) -> Steps:
    """What can be told of batch norms without data."""
    norms = [(name, m) for name, m in network.named_modules() if isinstance(m, NORMS)]
    evaluate = (
        "Call network.eval() before predicting, train with running statistics, and load "
        "the buffers with the weights."
    )
    states = (
        ("keeps no statistics", [n for n, m in norms if m.running_var is None]),
        ("is in training mode", [n for n, m in norms if m.training and m.running_var is not None]),
        ("has statistics as at the start", [n for n, m in norms if _fresh_statistics(m)]),
        ("has impossible statistics", [n for n, m in norms if _impossible(m)]),
    )
    for what, names in states:
        if names:
            yield fault(
                f"{len(names)} of {len(norms)} batch norms: {listed(names)}. They normalise by "
                "whatever is in the tile, or by nothing.",
                title=f"Batch norm {what}", value=len(names), threshold=1, unit="layers",
                certainty=0.93, remedy=Remedy(evaluate), layers=("np", "hv_x"), decisive=True,
            )  # fmt: skip


def _impossible(module: Any) -> bool:
    if module.running_var is None:
        return False
    var = module.running_var
    return bool((var < 0).any()) or float(((var < TINY) | (var > HUGE)).float().mean()) > 0.5


def adapted(bench: Bench) -> Predictor | None:
    """Copy the network, with batch norms that know these images and nothing else."""
    predictor, network = bench.case.predictor, network_of(bench)
    if predictor is None or predictor.model is None or network is None:
        return None
    inputs: list[torch.Tensor] = []
    handle = network.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    try:
        for index in bench.variant_indices[:3]:
            _run_part(bench, index)
    finally:
        handle.remove()
    other = copy.deepcopy(network).eval()
    norms = [m for m in other.modules() if isinstance(m, NORMS) and m.running_var is not None]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
        module.train()
    with torch.inference_mode():
        for given in inputs:
            other(given)
    model = replace(predictor.model, network=other.eval())
    return Predictor.of(model) if norms and inputs else None


def misfit(bench: Bench) -> tuple[str, float]:
    """Name the batch norm that fits the data least once those before it do, and by what ratio.

    The first is left out: it sees colours and contrast of the images.
    """
    twin, network = bench.once("adapted", lambda: adapted(bench)), network_of(bench)
    worst = ("", 0.0)
    if twin is None or twin.model is None:
        return worst
    there = dict(twin.model.network.named_modules())
    norms = [(n, m) for n, m in network.named_modules() if isinstance(m, NORMS)]
    for name, m in norms[1:]:
        if m.running_var is not None:
            ratio = (there[name].running_var + m.eps) / (m.running_var.clamp(min=0) + m.eps)
            worst = max(worst, (name, float(torch.maximum(ratio, 1 / ratio).median())),
                        key=lambda pair: pair[1])  # fmt: skip
    return worst


# --- types and tokens ------------------------------------------------------------------

TYPES_GAIN = 0.2
"""Share of pixels whose type becomes right with another numbering."""


@check("model.types", "Predicted types", needs=("maps", "types"), after=BROKEN)
def predicted_types(bench: Bench) -> Steps:
    """Are types numbered alike."""
    table = np.zeros((0, 0))
    for index in bench.map_indices:
        yield Progress(0, 1, "types")
        item, maps = bench.item(index), bench.maps(index)
        if item is None or maps is None or maps.types is None or item.types is None:
            continue
        if item.types.shape != maps.shape or not (item.types > 0).any():
            continue
        size = max(len(table), len(maps.types) + 2, int(item.types.max()) + 1)
        grown = np.zeros((size, size))
        grown[: len(table), : len(table)] = table
        table, inside = grown, item.types > 0
        without = 0 if not bench.setup.types_background else 1
        guess = maps.types[without:].argmax(axis=0) + 1
        np.add.at(table, (item.types[inside], guess[inside]), 1)
    total = table.sum()
    if not total:
        yield skip("no image has both true and predicted types")
        return
    right = float(np.trace(table) / total)
    shifts = {k: float(np.trace(table, k) / total) for k in (-2, -1, 1, 2)}
    best = max(shifts, key=lambda k: shifts[k])
    constant = float(table.sum(axis=1).max() / total)
    words = (
        f"{right:.0%} of the pixels with a true type are predicted right; always the most "
        f"frequent type would be {constant:.0%}."
    )
    common: dict[str, Any] = {"value": right, "threshold": constant, "unit": "share",
                              "layers": ("types",)}  # fmt: skip
    if shifts[best] - right >= TYPES_GAIN and shifts[best] > constant:
        yield fault(
            f"{words} With {best:+d} to each true type it is {shifts[best]:.0%}.",
            title=f"Types are numbered {abs(best)} {'higher' if best > 0 else 'lower'}",
            certainty=0.9, remedy=Remedy(
                f"Number types alike (0 = background): add {best:+d} to the true ones. A model "
                "without a background class has types_background=False.", "type_offset",
                bench.setup.type_offset + best), **common)  # fmt: skip
    elif right < constant - TYPES_GAIN:
        yield warn(
            words,
            title="Types are hardly ever right",
            certainty=0.4,
            remedy=Remedy("Check the list of types, and what the type branch was trained on."),
            **common,
        )
    else:
        yield ok(words, **common)


PATCHES = GRID * GRID
KNOWN = (0, 1, 5)
"""Prefixes that are met: none, CLS, CLS and four registers."""
TOKEN_GAIN = 0.04


@check("model.token_prefix", "Tokens before the patches", needs=("model", "features"),
       after=("model.checkpoint", "model.weights"),
       explains=(*SYMPTOMS, "model.activations", "data.complete"))  # fmt: skip
def tokens_before_the_patches(bench: Bench) -> Steps:
    """Which tokens are taken for patches."""
    network = network_of(bench)
    indices = [i for i in bench.variant_indices
               if (r := bench.raw(i)) is not None and np.ndim(r.features) == 2]  # fmt: skip
    if network is None or network.accepts != "tokens" or not indices:
        yield skip("the network reads images, not tokens")
        return
    n = int(np.median([len(bench.raw(i).features) for i in indices]))  # type: ignore[union-attr]
    own = int(getattr(network, "token_prefix", 0))
    now = own if bench.setup.token_prefix is None else bench.setup.token_prefix
    usual = n - PATCHES
    found: dict[int, float] = {}
    labelled = False
    for prefix in sorted({*KNOWN, now, usual}):
        if 0 <= prefix <= usual:
            yield Progress(0, 1, f"token prefix {prefix}")
            made = [q for i in indices if (q := _of_tokens(bench, i, prefix)) is not None]
            labelled = any(q.by_labels for q in made)
            found[prefix] = float(np.mean([q.both for q in made])) if made else 0.0
    words = f"Each image has {n} tokens, {usual} more than the {GRID} x {GRID} patches"
    if now not in found:
        yield fault(f"{words}; the prefix is {now}.", title="Too few tokens", certainty=0.95,
                    remedy=Remedy(f"Set the token prefix to {usual}." if usual >= 0 else
                                  f"Make features of a ViT with {GRID} x {GRID} patches.",
                                  "token_prefix" if usual >= 0 else "",
                                  usual if usual >= 0 else None))  # fmt: skip
        return
    best = max(found, key=lambda p: found[p])
    gain = found[best] - found[now]
    words += (
        "; agreement with "
        + ("the labels" if labelled else "the image")
        + " is "
        + ", ".join(f"{v:.2f} for a prefix of {p}" for p, v in found.items())
        + "."
    )
    if gain < TOKEN_GAIN:
        yield ok(words, value=float(now), threshold=float(usual), unit="tokens")
        return
    off = abs(best - now)
    yield (fault if labelled else warn)(
        words, title="Wrong tokens are taken for patches", value=float(now), threshold=float(best),
        unit="tokens", certainty=0.97 if labelled else ALONE,
        remedy=Remedy(f"Set the token prefix to {best}: with {now} maps lie {off} columns "
                      f"({off * PATCH_PX} px) off, wrapped.", "token_prefix", best),
        layers=("image", "np"), plot=Plot(
            "bars", "Agreement by token prefix", tuple(map(str, found)),
            (("agreement", tuple(found.values())),), "prefix"),
    )  # fmt: skip


def _of_tokens(bench: Bench, index: int, prefix: int) -> Quality | None:
    maps, item = bench.variant(index, Variant(token_prefix=prefix)), bench.item(index)
    if maps is None or item is None:
        return None
    labels, image, size = item.labels, item.image, maps.shape[::-1]
    if labels is not None and labels.shape != maps.shape:
        labels = cv2.resize(labels.astype(np.float64), size, interpolation=0).astype(np.int32)
    if image is not None and image.shape[:2] != maps.shape:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return quality(maps, labels, image, fixed=True)
