"""Look at training data before training: what is odd, and what must not be trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from ..data.items import evenly, listed
from ..data.samples import (
    Leaks,
    LoadedData,
    Print,
    Sample,
    SampleFigures,
    find_leaks,
    measure,
    print_of,
)
from ..params import SCRATCH, TrainConfig
from ..types import spread

OK, WARN, FAULT = "ok", "warn", "fault"
"""Verdicts; with a fault training must not start."""
SAMPLES = 400
"""Samples looked at, at most, in training and in validation each."""
FULL, MEAN_FULL = 0.5, 0.6
"""Share of nucleus pixels above which an image is named, and the data are refused."""
TOUCHING, MASK_NUCLEI = 0.01, 100
"""Share of touching nuclei below which labels look like a mask's, and nuclei that it takes."""
MASK_PARTS = 5.0
"""Parts per instance from which labels are a mask or a map of types."""
MAGNITUDE = (0.55, 0.80)
"""Mean length of target HV that is usual."""
UNTYPED, PROBLEMS = 0.05, 0.1
"""Shares of untyped nucleus pixels that are named, of unusable samples that are refused."""
MPP_RATIO = 1.5
"""Largest to smallest micrometres per pixel that is named."""
SHOWN = 3
"""Names that a finding shows."""

TOKENS = "optimus"
"""Architecture that reads tokens of a frozen encoder."""

Found = tuple[str, str]
"""Verdict and words."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str  # "files", "nuclei", "coverage" ...
    verdict: str  # "ok", "warn" or "fault"
    words: str  # What was found and what to do


@dataclass(frozen=True)
class DataReport:
    """What was found in training data."""

    findings: tuple[Finding, ...]
    train_images: int
    val_images: int
    nuclei: int  # Of the samples that were looked at
    coverage: float
    touching: float
    magnitude: float
    notes: tuple[str, ...] = ()  # What was assumed while reading

    @property
    def refused(self) -> bool:
        """Whether training must not start."""
        return self.worst == FAULT

    @property
    def worst(self) -> str:
        """Worst verdict."""
        return next((v for v in (FAULT, WARN) if self.words(v)), OK)

    def words(self, verdict: str) -> tuple[str, ...]:
        """Return what was found of a verdict."""
        return tuple(f.words for f in self.findings if f.verdict == verdict)

    @property
    def summary(self) -> str:
        """One line."""
        worst = self.worst
        odd = [f.name for f in self.findings if f.verdict == worst != OK]
        fit = {FAULT: "cannot be trained on", WARN: "can be trained on", OK: "in order"}[worst]
        about = f" ({', '.join(odd)})" if odd else ""
        return (
            f"{self.train_images} to train, {self.val_images} to validate, {self.nuclei:,} nuclei: "
            f"{fit}{about}"
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was measured, and what could not be read."""

    data: LoadedData
    figures: tuple[SampleFigures, ...]
    errors: tuple[str, ...]
    leaks: Leaks
    sampled: bool

    def sum(self, name: str, labelled: bool = False) -> int:
        """Add a figure up over samples; ``labelled`` = those with instances alone."""
        return sum(getattr(f, name) for f in self.figures if f.has_labels or not labelled)

    @property
    def coverage(self) -> float:
        return _share(self.sum("inside"), self.sum("pixels"))

    @property
    def touching(self) -> float:
        return _share(self.sum("touching", labelled=True), self.sum("nuclei", labelled=True))

    @property
    def magnitude(self) -> float:
        total = sum(f.magnitude * f.inside for f in self.figures if f.inside)
        return _share(total, self.sum("inside"))


def architecture_of(start: str) -> str:
    """Return the architecture of an untrained starting point, "scratch:NAME"."""
    from ..networks.registry import names  # noqa: PLC0415 - loads torch

    name = start.removeprefix(SCRATCH)
    if name not in names():
        known = ", ".join(SCRATCH + name for name in names())
        raise InputError(f"start is {start!r}; untrained there are {known}.")
    return name


def needs_of(start: str) -> str:
    """Tell what a starting point reads: "image" or "tokens"."""
    from ..checkpoint import describe  # noqa: PLC0415 - loads torch

    fresh = start.startswith(SCRATCH)
    name = architecture_of(start) if fresh else describe(start).architecture
    return "tokens" if name == TOKENS else "image"


def load_data(config: TrainConfig) -> LoadedData:
    """Read what a run learns from; types are numbered as the starting model's where it has them."""
    from ..checkpoint import describe  # noqa: PLC0415 - loads torch
    from ..data.load import load_samples  # noqa: PLC0415 - on first use

    known = {} if config.start.startswith(SCRATCH) else describe(config.start).types
    needs = needs_of(config.start)
    return load_samples(config.data, needs=needs, seed=config.seed, known=known)


def check_data(loaded: LoadedData, *, samples: int = SAMPLES) -> DataReport:
    """Look at data before training."""
    train, val = (
        [some[i] for i in evenly(len(some), samples)] for some in (loaded.train, loaded.val)
    )
    looks = spread(_look, (*train, *val))
    prints = [look[1] for look in looks[: len(train)] if not isinstance(look, str)]
    held = [look[1] for look in looks[len(train) :] if not isinstance(look, str)]
    leaks = find_leaks(prints, held)
    groups = {s.group for s in loaded.train} & {s.group for s in loaded.val}  # of all samples
    seen = _Seen(
        loaded,
        tuple(look[0] for look in looks if not isinstance(look, str)),
        tuple(look for look in looks if isinstance(look, str)),
        Leaks(leaks.same, tuple(sorted(groups)), leaks.near),
        len(looks) < len(loaded.all),
    )
    found = ((name, check(seen)) for name, check in CHECKS.items())
    return DataReport(
        tuple(Finding(name, *said) for name, said in found if said is not None),
        len(loaded.train),
        len(loaded.val),
        seen.sum("nuclei"),
        seen.coverage,
        seen.touching,
        seen.magnitude,
        loaded.notes,
    )


def _look(sample: Sample) -> tuple[SampleFigures, Print] | str:
    """Measure a sample and take its print, or say why it cannot be read."""
    try:
        arrays = vars(sample.arrays)  # read once for both
        cached = Sample(sample.name, sample.group, sample.split, mpp=sample.mpp, **arrays)
        return measure(cached), print_of(cached)
    except InputError as error:
        return str(error)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _files(seen: _Seen) -> Found:
    problems = (*seen.data.problems, *seen.errors)
    tried = len(seen.data.all) + len(seen.data.problems)
    shown = "; ".join(problems[:SHOWN])
    if seen.data.faults:
        return FAULT, "; ".join(seen.data.faults[:SHOWN])
    if seen.errors or len(problems) > PROBLEMS * tried:
        return FAULT, f"{len(problems)} of {tried} cannot be used: {shown}"
    if problems:
        return WARN, f"{len(problems)} of {tried} left out: {shown}"
    part = f"; {len(seen.figures)} of them were looked at" if seen.sampled else ""
    return OK, f"all {tried} samples can be read{part}"


def _nuclei(seen: _Seen) -> Found:
    empty = [f.name for f in seen.figures if not f.inside]
    for split, samples in (("training", seen.data.train), ("validation", seen.data.val)):
        names = {s.name for s in samples}
        if samples and not any(f.inside for f in seen.figures if f.name in names):
            return FAULT, (
                f"no {split} image has a nucleus: all labels are background. Give labels with "
                "0 = background and one number per nucleus."
            )
    words = f"{seen.sum('nuclei'):,} nuclei"
    if empty:
        words += f"; {len(empty)} images without any ({listed(empty)})"
    return WARN if len(empty) > len(seen.figures) / 2 else OK, words


def _coverage(seen: _Seen) -> Found:
    mean = seen.coverage
    full = [f.name for f in seen.figures if f.coverage > FULL]
    words = f"{mean:.0%} of all pixels are nucleus"
    if mean > MEAN_FULL:
        return FAULT, (
            f"{words}, far more than in any tissue: targets are likely to come from the wrong "
            "channel, or background and nuclei are swapped. Look at the labels."
        )
    if full:
        where = f"above {FULL:.0%} in {len(full)} images ({listed(full)})"
        return WARN, f"{words}; {where}: look at their labels"
    return OK, words


def _instances(seen: _Seen) -> Found | None:
    """Tell labels that are a mask, or were made from one."""
    filled = [f for f in seen.figures if f.has_labels and f.nuclei]
    parted = [f.name for f in filled if f.parts >= MASK_PARTS * f.nuclei]
    if len(parted) > len(filled) / 2:
        return FAULT, (
            "labels are masks or maps of types, not instances: one id lies on many separate "
            f"parts ({listed(parted)}). Give every nucleus an id of its own."
        )
    n, share = seen.sum("nuclei", labelled=True), seen.touching
    if n >= MASK_NUCLEI and share < TOUCHING:
        return WARN, (
            f"{share:.1%} of {n:,} nuclei touch another, in tissue it is a third: these may be "
            "connected components of a mask. Nothing can be learned of touching nuclei from them."
        )
    if parted:
        return WARN, f"one id lies on many parts in {len(parted)} images ({listed(parted)})"
    return (OK, f"{share:.0%} of {n:,} nuclei touch another") if n else None


def _hv(seen: _Seen) -> Found | None:
    mean, (low, high) = seen.magnitude, MAGNITUDE
    if not seen.sum("inside"):
        return None
    where = "computed from labels" if any(f.has_labels for f in seen.figures) else "as stored"
    words = f"mean magnitude of target HV inside nuclei {mean:.2f} ({where}; usual 0.67 to 0.69)"
    if mean == 0 or math.isnan(mean):
        return FAULT, f"{words}: there is nothing to learn"
    if not low <= mean <= high:
        small = "very small nuclei, or " if mean < low else ""
        return WARN, f"{words}: {small}HV of another scale"
    return OK, words


def _types(seen: _Seen) -> Found:
    typed = [f for f in seen.figures if f.highest_type >= 0]
    highest = max((f.highest_type for f in typed), default=-1)
    if highest < 1:
        return OK, "no types"
    said = f"types 1 to {highest}"
    if names := [t.name for k, t in sorted(seen.data.type_names.items()) if k]:
        said = f"types {', '.join(names)}"
    untyped_images = [f.name for f in seen.figures if f.highest_type < 0]
    if untyped_images:
        said += f"; {len(untyped_images)} images have none ({listed(untyped_images)})"
    shares = [f.untyped for f in typed if not math.isnan(f.untyped)]
    untyped = float(np.mean(shares)) if shares else 0.0
    if untyped > UNTYPED:
        return WARN, f"{said}; {untyped:.0%} of nucleus pixels have none and teach none"
    return OK, said


def _images(seen: _Seen) -> Found:
    blank = [f.name for f in seen.figures if f.blank]
    if not blank:
        return OK, "no image is blank"
    words = f"{len(blank)} images are of one colour ({listed(blank)})"
    return FAULT if len(blank) == len(seen.figures) else WARN, words


def _magnification(seen: _Seen) -> Found | None:
    known = [f.mpp for f in seen.figures if f.mpp is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    words = f"{low:g} to {high:g} micrometres per pixel" if high > low else f"{low:g} micrometres"
    if high > low * MPP_RATIO:
        return WARN, f"{words}: images are not brought to one scale"
    return OK, words


def _validation(seen: _Seen) -> Found:
    if not seen.data.val:
        return FAULT, "there is no validation image; add one"
    words = seen.data.split_words or f"{len(seen.data.val)} images"
    if len(seen.data.all) == 2 and "one image only" in words:
        return WARN, f"{words}; scores come out too good, add an image of another slide"
    return OK, words


def _leak(seen: _Seen) -> Found:
    leaks = seen.leaks
    if leaks.same:
        pairs = listed([f"{a} = {b}" for a, b in leaks.same])
        n = len(leaks.same)
        return FAULT, f"{n} validation images are also trained on ({pairs}); remove them"
    if leaks.groups:
        return FAULT, (
            "parts of the same source image are in training and validation "
            f"({listed(leaks.groups)}); put each image on one side"
        )
    if leaks.near:
        pairs = listed([f"{a} ~ {b}" for a, b in leaks.near])
        return WARN, f"{len(leaks.near)} validation images look like training images ({pairs})"
    return OK, "no image is in training and validation"


CHECKS: Mapping[str, Callable[[_Seen], Found | None]] = {
    "files": _files,
    "images": _images,
    "nuclei": _nuclei,
    "coverage": _coverage,
    "instances": _instances,
    "HV": _hv,
    "types": _types,
    "magnification": _magnification,
    "validation": _validation,
    "leak": _leak,
}
"""By name, in the order of the report."""
