"""Checks of what goes into a network: one sweep of what-ifs, one winner; magnification.

Each what-if changes one thing and looks whether maps get better by the labels. Without labels image
and maps are all there is, which is worth a warning at most. Bounds were set on ``compact`` with
images of DSB, MoNuSeg, CoNSeP and generated tissue.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ...errors import UserError
from ..types import Maps, Progress
from .bench import Bench, on_image
from .case import Predictor
from .data import scaled
from .engine import Steps, check, fault, judge, ok, skip, warn
from .model import BROKEN, NORMS, SLOW, SYMPTOMS, network_of
from .reading import Quality, quality
from .report import NO_REMEDY, Plot, Remedy

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's."""
USUAL_MEAN, USUAL_STD = (189.0, 146.0, 183.0), (44.0, 52.0, 38.0)
"""Of red, green and blue in usual H&E images."""
NORM = "batch norm takes its statistics from these images"
ZOOMS = (0.5, 2.0, 0.35, 0.71, 1.41, 2.8)
FIRST_LOOK, LOOK_PX, SLOW_PX, PROMISING = 2, 160, 128, 5
"""Parts on which everything is tried, their edges (for slow networks); what-ifs tried on all."""
FITS = 0.5
"""Correlation of NP with the labels that a what-if must reach to be believed."""
BETTER_IN, SOME_IN, COUNTS = 0.7, 0.5, 0.01
"""Share of the images that must get better, the same where none gets worse, and by how much."""
NEED, UNSEEN = 0.03, 4.0
"""Least gain of agreement with the labels that counts: above the largest where nothing is wrong
(benchmarks/input_gains.py: ``compact`` up to 0.005 in 15 set-ups of the tune half, ``lite-typed``
0.018; one odd part had 0.16, so the others must gain half of it). Linear light brings 0.11, a gamma
of 1.5 0.04. And how many times as much without labels (0.086 with another stain)."""
SIMPLER = (0.1, 0.005)
"""Share of the gain (and least gain) that a less simple what-if must bring beyond a simpler one."""
USUAL = (15.0, 48.0)
"""Pixels across: true nuclei, by area, as networks know them (the sources: 16 to 39)."""
NOTHING_LEFT = 0.92
"""Mean agreement with the labels from which on nothing that goes in can be far off: little is tried
(where nothing is wrong no what-if brings 0.005 there)."""
GOOD = 0.8
"""Agreement with the labels from which on a slow network is not asked what-ifs."""
SOUND, PARTIAL = 0.78, 0.75
"""Agreement that a what-if must reach, or come half of the way there is to NOTHING_LEFT, to be the
cause and not a part of it; and how sure it is said to be else. In the tune half the right one
reaches 0.80 to 0.92, or three fifths of the way (an offset that clipped)."""


Look = Callable[[torch.Tensor], torch.Tensor]
"""A change of float 0..255 (B, 3, H, W)."""


@dataclass(frozen=True, eq=False)
class WhatIf:
    """One thing changed; simpler ones come first."""

    name: str  # "if ..."
    kind: str  # "input", "norm" or "zoom"
    need: float  # Least mean gain of agreement
    change: Look | None = None
    zoom: float = 1.0
    remedy: Remedy = NO_REMEDY
    title: str = ""


def _per_channel(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


def _usual(x: torch.Tensor) -> torch.Tensor:
    mean, std = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True)
    return ((x - mean) / (std + 1) * _per_channel(USUAL_STD, x)
            + _per_channel(USUAL_MEAN, x)).clamp(0, 255)  # fmt: skip


def _quantiles(x: torch.Tensor, *shares: float) -> list[torch.Tensor]:
    some = x.flatten(2)[..., ::7].contiguous()
    return [torch.quantile(some, q, dim=2)[..., None, None] for q in shares]


def _stretched(x: torch.Tensor) -> torch.Tensor:
    low, high = _quantiles(x, 0.01, 0.95)
    return (20 + (x - low) / (high - low + 1) * 220).clamp(0, 255)


def _white(x: torch.Tensor) -> torch.Tensor:
    """Make the lightest of each channel alike."""
    light = _quantiles(x, 0.97)[0].clamp(min=1)
    return (x / light * light.amax(1, keepdim=True)).clamp(0, 255)


DARK = "Use images of full range (0..255): these are dark; mend the exposure or the conversion."
GAMMA = ("Undo the gamma: images are linear in light (or were brightened) where the network knows "
         "sRGB.")  # fmt: skip
LEVELS = ("Bring black and white level, contrast and stain to those of the training, or fine-tune "
          "the network on images like these.")  # fmt: skip
FOREIGN = "Images look foreign to the network"
Row = tuple[str, float, Look, str, str, str, Any]
WAYS: tuple[Row, ...] = (
    ("red and blue change places", NEED, lambda x: x.flip(1),
     "Red and blue are swapped (BGR for RGB)", "Give the network RGB: images with red first "
     "(OpenCV reads BGR), or turn the channels round before it.", "channel_order", "bgr"),
    ("values are multiplied by 255", NEED, lambda x: x * 255,
     "The network sees 0..1 where 0..255 is expected", "Divide by 255 once only: multiply images "
     "by 255 before they become whole numbers, or leave out the second division.",
     "input_factor", 255.0),
    ("values are divided by 255", NEED, lambda x: x / 255,
     "The network sees 0..255 where 0..1 is expected",
     "Divide images by 255 before this network, as in its training.", "input_factor", 1 / 255),
    *((f"values are multiplied by {k:g}", NEED, lambda x, k=k: x * k,
       f"Images are {'too ' if k > 2 else ''}dark for the network", DARK, "input_factor", k)
      for k in (4.0, 2.0)),
    *((f"values are raised to {g:.2g} (gamma)", NEED,
       lambda x, g=g: 255 * (x.clamp(0, 255) / 255) ** g,
       "Images have another gamma than the network knows", GAMMA, "input_gamma", g)
      for g in (1 / 3, 1 / 2.2, 2.2)),
    *((f"{k:.0f} is subtracted", NEED, lambda x, k=k: x - k,
       "An offset was added to the images", f"Find what adds an offset of about {k:.0f} to the "
       "levels (black is not 0), and subtract it.", "", None) for k in (100.0, 50.0)),
    ("contrast is doubled about grey", NEED, lambda x: (128 + 2.5 * (x - 128)).clamp(0, 255),
     "Images have too little contrast for the network", LEVELS, "", None),
    ("dark and bright change places", NEED, lambda x: 255 - x, "Images are inverted",
     "Images are inverted (a negative): give 255 minus them.", "", None),
    ("a normalisation by ImageNet's mean is undone", NEED,
     lambda x: 255 * (x * _per_channel(STD, x) + _per_channel(MEAN, x)),
     "Images are normalised for another network", "Leave out the normalisation by ImageNet's mean "
     "and deviation: this network expects 0..255.", "", None),
    ("images are normalised by ImageNet's mean", NEED,
     lambda x: (x / 255 - _per_channel(MEAN, x)) / _per_channel(STD, x),
     "Images lack the normalisation of the training",
     "Normalise images by ImageNet's mean and deviation, as in the training.", "", None),
    ("all channels are as the brightest", NEED, lambda x: x.amax(1, keepdim=True).expand_as(x),
     "Channels of the images are empty", "Channels of the image are missing: look at how its "
     "colours are read and written.", "", None),
    ("white is made white", NEED, _white, "White of the images is no white",
     "Balance white: empty glass has to be as light in all three channels (colour temperature, "
     "stain, a filter).", "", None))  # fmt: skip
"""Name, least gain, change, title, remedy, its action and value; simpler ones come first."""
LOOKS = (("levels are stretched", 0.03, _stretched), ("colours are made usual", 0.03, _usual))
"""Tried last: they say that images look foreign, and not why."""


def _what_ifs() -> Iterator[WhatIf]:
    for name, need, change, title, text, action, value in WAYS:
        yield WhatIf(name, "input", need, change, 1.0, Remedy(text, action, value), title)
    yield WhatIf(NORM, "norm", 0.04)
    for zoom in ZOOMS:
        yield WhatIf(f"the image is resized {zoom:g} times", "zoom", 0.03, zoom=zoom)
    for name, need, change in LOOKS:
        yield WhatIf(name, "input", need, change, 1.0, Remedy(LEVELS), FOREIGN)


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
        need *= 1 if self.before[0].by_labels or self.what.kind != "input" else UNSEEN
        gains = np.sort(self.gains)
        better = np.mean(gains > COUNTS) >= (BETTER_IN if gains[0] < -COUNTS else SOME_IN)
        mended = min(np.median([q.np for q in self.after]), np.median([q.both for q in self.after]))
        enough = self.mean >= need and (len(gains) < 2 or gains[:-1].mean() >= need / 2)
        return bool(enough and better and mended >= FITS and self._plausible)

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
    which: tuple[int, ...] = ()  # Images of ``plain``

    def best(self, kind: str) -> Gain | None:
        """Return what brought most, of a kind."""
        return max((g for g in self.tried if g.what.kind == kind), key=lambda g: g.mean,
                   default=None)  # fmt: skip


@dataclass(eq=False)
class _Parts:
    """Parts of images and how they are predicted under what-ifs."""

    bench: Bench
    slow: bool = False
    known: dict[tuple[int, str, int], Quality | None] = field(default_factory=dict)

    def quality(self, index: int, what: WhatIf | None, edge: int = 0) -> Quality | None:
        """Measure a part of an item, of so many pixels along an edge (0: the whole part)."""
        key = (index, "" if what is None else what.name, edge)
        if key not in self.known:
            self.known[key] = self._measured(index, what, SLOW_PX if self.slow else edge)
        return self.known[key]

    def _measured(self, index: int, what: WhatIf | None, edge: int) -> Quality | None:
        item, box, predictor = (self.bench.item(index), self.bench.box(index),
                                self.bench.case.predictor)  # fmt: skip
        if item is None or item.image is None or box is None or predictor is None:
            return None
        r0, r1, c0, c1 = box
        (r0, r1), (c0, c1) = (((a + b - edge) // 2, (a + b + edge) // 2) if 0 < edge < b - a
                              else (a, b) for a, b in ((r0, r1), (c0, c1)))  # fmt: skip
        image, labels = item.image[r0:r1, c0:c1], item.labels
        fits = labels is not None and labels.shape == item.image.shape[:2]
        try:
            maps = self._predict(predictor, image, what)
            return quality(maps, labels[r0:r1, c0:c1] if fits else None, image)  # type: ignore[index]
        except UserError:
            return None

    def _predict(self, predictor: Predictor, image: Any, what: WhatIf | None) -> Maps:
        zoom, network = self.bench.setup.zoom, None
        if predictor.model is not None:
            network = predictor.model.network
        if what is not None and what.kind == "norm":
            predictor = self.bench.once("adapted", lambda: adapted(self.bench)) or predictor
        if what is None or what.change is None:
            return on_image(predictor, image, zoom * (1 if what is None else what.zoom))
        if network is None:  # a function gets whole numbers
            given = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
            image = what.change(given)[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
        with nullcontext() if network is None else entering(network, what.change):
            return on_image(predictor, image, zoom)


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
    parts, plain = _Parts(bench), dict[int, Quality]()
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
    fits = base[0].by_labels and float(np.mean([q.both for q in base])) >= NOTHING_LEFT
    if parts.slow or fits:
        wanted = wanted[:3] + [w for w in wanted if w.zoom in ZOOMS[:2]]
    wanted = [w for w in wanted if w.kind != "zoom" or _asks_for(w.zoom, base)]
    tried: list[Gain] = []
    looks = {i: q for i in list(plain)[:FIRST_LOOK] if (q := parts.quality(i, None, LOOK_PX))}
    for done, what in enumerate(wanted):
        yield Progress(done, len(wanted), f"what if {what.name}")
        whole = what.kind == "zoom"  # of large nuclei a look holds too few
        tried += _gain(parts, what, plain if whole else looks, list(looks), 0 if whole else LOOK_PX)
    promising = [g for g in sorted(tried, key=lambda g: -g.mean) if g.mean >= g.what.need / 2]
    zooms = [g for g in promising if g.what.kind == "zoom"][:2]  # not crowded out by the others
    promising = [g for g in promising if g.what.kind != "zoom"][:PROMISING] + zooms
    for at, gain in enumerate(promising):
        yield Progress(at, len(promising), f"what if {gain.what.name}")
        tried[tried.index(gain)] = next(iter(_gain(parts, gain.what, plain, list(plain))), gain)
    won = [g for g in tried if g.wins and len(g.gains) == len(plain)]
    most = max((g.mean for g in won), default=0.0)
    order = {w.name: k for k, w in enumerate(wanted)}
    near = [g for g in won if g.mean >= most - max(SIMPLER[0] * most, SIMPLER[1])]
    winner = min(near, key=lambda g: order[g.what.name], default=None)
    return Sweep(tuple(tried), winner, base, which=tuple(plain))


def _gain(parts: _Parts, what: WhatIf, plain: dict[int, Quality], on: Sequence[int],
          edge: int = 0) -> list[Gain]:  # fmt: skip
    pairs = [(plain[i], q) for i in on if (q := parts.quality(i, what, edge)) is not None]
    return [Gain(what, *zip(*pairs, strict=True))] if len(pairs) == len(on) else []


@check("model.input", "What goes into the network", needs=("model", "image"),
       after=(*BROKEN, "model.np"), explains=(*SYMPTOMS, "model.activations", "model.mpp",
                                              "model.tiles", "data.images",
                                              "data.complete"))  # fmt: skip
def what_goes_in(bench: Bench) -> Steps:
    """Colour order, range, gamma, offset, normalisation: one winner."""
    sweep = yield from sweep_steps(bench)
    best = sweep.best("input")
    if best is None:
        return skip(sweep.why or "nothing could be tried")
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
        yield ok(f"Of all other ways in, the {best.words}; that is no gain that counts.",
                 value=best.mean, threshold=best.what.need, **common)  # fmt: skip
    else:
        labelled = won.before[0].by_labels
        sure = scaled(won.mean, NEED, 0.08, 0.85, 0.95) + min(won.mean, 0.25) / 8
        remedy, title = won.what.remedy, won.what.title
        after = float(np.mean([q.both for q in won.after]))
        if after < SOUND and won.mean < (NOTHING_LEFT - after):
            sure, title, remedy = min(sure, PARTIAL), FOREIGN, Remedy(LEVELS)
        if remedy.action == "channel_order" and bench.setup.channel_order == "bgr":
            remedy = replace(remedy, value="rgb")
        elif remedy.action in ("input_factor", "input_gamma"):
            now = getattr(bench.setup, remedy.action)
            remedy = replace(remedy, value=remedy.value * now)
        yield judge(
            labelled, f"The {won.words}; in health all of that makes maps worse.", sure,
            title=title, value=won.mean, threshold=won.what.need, remedy=remedy,
            plot=_gains_plot(sweep), plain="The network was made for pictures that look different "
            "from these.", **common)  # fmt: skip


def _gains_plot(sweep: Sweep) -> Plot:
    best = sorted(sweep.tried, key=lambda g: -g.mean)[:8]
    return Plot("bars", "Agreement gained if ...", tuple(g.what.name for g in best),
                (("gain", tuple(g.mean for g in best)),), "", "agreement", 0.0)  # fmt: skip


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


@check("model.mpp", "Magnification", needs=("model", "image"), after=(*BROKEN, "model.np"),
       explains=(*SYMPTOMS, "model.activations", "model.tiles", "data.complete"))  # fmt: skip
def magnification(bench: Bench) -> Steps:
    """Are nuclei as large as the network knows them."""
    sweep = yield from sweep_steps(bench)
    best, found = sweep.best("zoom"), [q.diameter for q in sweep.plain if q.diameter]
    if not found:
        return skip(sweep.why or "no nucleus was found")
    size = float(np.median(found))
    yield from (some := list(_two_sizes(bench, sweep)))
    if some:
        return
    words = f"Nuclei are about {size:.0f} px across (usual {USUAL[0]:.0f} to {USUAL[1]:.0f})"
    if best is None:
        return ok(f"{words}.", value=size, threshold=USUAL[1], unit="px")
    won = sweep.winner
    if won is None or won.what.kind != "zoom":
        far = not USUAL[0] / 2 <= size <= 2 * USUAL[1] and sweep.plain[0].by_labels
        return warn(f"{words}; the {best.words}.", title="Nuclei have a size that networks do not "
                    "know", value=size, threshold=2 * USUAL[1], unit="px", certainty=0.45,
                    remedy=Remedy("Look up the mpp of images and model, and resize the images.")) \
             if far else ok(f"{words}; the {best.words}.", value=best.mean,
                            threshold=best.what.need, unit="agreement")  # fmt: skip
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


SMALLER = 0.65
"""Size of the nuclei of an image by that of the larger half of the images, below which it may be of
another magnification (images of one source: 0.75 and more)."""


def _two_sizes(bench: Bench, sweep: Sweep) -> Steps:
    """Tell whether some images have smaller nuclei, and are understood better when enlarged."""
    sizes = {i: q.diameter for i, q in zip(sweep.which, sweep.plain, strict=True) if q.diameter}
    large = float(np.median(sorted(sizes.values())[len(sizes) // 2 :] or [0]))
    small = {i: q for i, q in zip(sweep.which, sweep.plain, strict=True)
             if 0 < q.diameter < SMALLER * large}  # fmt: skip
    usual = float(np.median([sizes[i] for i in small] or [USUAL[0]]))
    if not 2 <= len(small) <= len(sizes) - 2 or usual >= USUAL[0]:
        return  # as large as nuclei are in other sources
    zoom = round(large / usual, 2)
    what = WhatIf(f"these are resized {zoom:g} times", "zoom", NEED, zoom=zoom)
    for gain in _gain(_Parts(bench), what, small, list(small)):
        if gain.mean >= NEED and min(gain.gains) > 0:
            labelled = gain.before[0].by_labels
            yield judge(
                labelled, f"In {len(small)} of {len(sizes)} images nuclei are {1 / zoom:.2f} times "
                f"as large as in the others; there the {gain.words}.", 0.85, value=gain.mean,
                threshold=NEED,
                title="Some images have another magnification than the others", unit="agreement",
                layers=("image", "np", "instances"),
                remedy=Remedy("Bring all images to one magnification: give each its mpp, or resize "
                              f"the smaller ones (20x among 40x?) {zoom:g} times."))  # fmt: skip


# --- the network on a part --------------------------------------------------------------


def run_part(bench: Bench, index: int) -> None:
    """Send a part of an item through the network, for whoever watches."""
    predictor, raw = bench.case.predictor, bench.raw(index)
    if predictor is not None and predictor.reads == "features":
        if raw is not None and raw.features is not None:
            try:
                predictor.maps(raw.features, bench.setup.token_prefix)
            except UserError:
                return
    else:
        bench.part_changed(index, lambda part: part[:128, :128])


def adapted(bench: Bench) -> Predictor | None:
    """Copy the network, with batch norms that know these images and nothing else."""
    predictor, network = bench.case.predictor, network_of(bench)
    if predictor is None or predictor.model is None or network is None:
        return None
    inputs: list[torch.Tensor] = []
    handle = network.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    try:
        for index in bench.variant_indices[:3]:
            run_part(bench, index)
    finally:
        handle.remove()
    other = copy.deepcopy(network).eval()
    norms = [m for m in other.modules() if isinstance(m, NORMS) and m.running_var is not None]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
        module.train()
    try:
        with torch.inference_mode():
            for given in inputs:
                other(given)
    except ValueError:  # a part so small that a layer has one value: no statistics
        return None
    model = replace(predictor.model, network=other.eval())
    return Predictor.of(model) if norms and inputs else None
