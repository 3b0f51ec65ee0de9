"""Look at training data before training: what is odd, and what must not be trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...errors import InputError
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
from ..types import spread

OK, WARN, FAULT = "ok", "warn", "fault"
"""Verdicts; with a fault training must not start."""


@dataclass(frozen=True)
class DataBounds:
    """From where on data look odd."""

    coverage: float = 0.5  # Share of nucleus pixels above which an image is named
    mean_coverage: float = 0.6
    touching: float = 0.01  # Share of touching nuclei below which labels look like those of a mask
    mask_nuclei: int = 100  # Nuclei from which that is said
    mask_parts: float = 5.0  # Parts per instance from which labels are a mask or a map of types
    magnitude: tuple[float, float] = (0.55, 0.80)  # Mean length of target HV that is usual
    untyped: float = 0.05  # Share of nucleus pixels without a type that is worth a word
    problems: float = 0.1  # Share of samples that cannot be used from which training is refused
    mpp_ratio: float = 1.5  # Largest to smallest micrometres per pixel that is worth a word
    samples: int = 400  # Samples looked at, at most, in training and in validation each

    def __post_init__(self) -> None:
        for name in ("coverage", "mean_coverage", "touching", "untyped", "problems"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a share in 0..1.")
        if self.samples < 1:
            raise InputError(f"samples is {self.samples}; give 1 or more.")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        "files", "nuclei", "coverage" ...
    verdict : {"ok", "warn", "fault"}
        With a fault training is refused.
    words : str
        What was found and what to do.
    """

    name: str
    verdict: str
    words: str


@dataclass(frozen=True)
class DataReport:
    """What was found in training data."""

    findings: tuple[Finding, ...]
    train_images: int  # Nuclei of the samples that were looked at
    val_images: int  # Nuclei of the samples that were looked at
    nuclei: int  # Nuclei of the samples that were looked at
    coverage: float
    touching: float
    magnitude: float
    notes: tuple[str, ...] = ()  # What was assumed while reading

    @property
    def refused(self) -> bool:
        """Whether training must not start."""
        return any(finding.verdict == FAULT for finding in self.findings)

    @property
    def worst(self) -> str:
        """Worst verdict."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((v for v in (FAULT, WARN) if v in verdicts), OK)

    @property
    def summary(self) -> str:
        """One line."""
        odd = [f.name for f in self.findings if f.verdict == FAULT] or [
            f.name for f in self.findings if f.verdict == WARN
        ]
        said = {FAULT: "cannot be trained on", WARN: "can be trained on", OK: "in order"}
        about = f" ({', '.join(odd)})" if odd else ""
        return (
            f"{self.train_images} to train, {self.val_images} to validate, {self.nuclei:,} nuclei: "
            f"{said[self.worst]}{about}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Give everything as plain values (JSON-able, NaN as None)."""
        plain = asdict(self)
        for name in ("coverage", "touching", "magnitude"):
            plain[name] = None if math.isnan(plain[name]) else plain[name]
        return {**plain, "refused": self.refused, "summary": self.summary}


__all__ = ["DataBounds", "DataReport", "Finding", "check_data"]

SHOWN = 3
"""Names that a finding shows."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was measured, and what could not be read."""

    data: LoadedData
    figures: tuple[SampleFigures, ...]
    errors: tuple[str, ...]
    leaks: Leaks
    sampled: bool
    bounds: DataBounds
    n_types: int | None

    @property
    def labelled(self) -> list[SampleFigures]:
        return [f for f in self.figures if f.has_labels]

    @property
    def filled(self) -> list[SampleFigures]:
        return [f for f in self.figures if f.inside]


def check_data(
    loaded: LoadedData, bounds: DataBounds | None = None, *, n_types: int | None = None
) -> DataReport:
    """Look at data before training."""
    bounds = bounds or DataBounds()
    train, val = (_some(s, bounds.samples) for s in (loaded.train, loaded.val))
    looks: list[_Look] = spread(_look, (*train, *val))
    errors = tuple(look for look in looks if isinstance(look, str))
    prints = [look[1] for look in looks[: len(train)] if not isinstance(look, str)]
    held = [look[1] for look in looks[len(train) :] if not isinstance(look, str)]
    seen = _Seen(
        data=loaded,
        figures=tuple(look[0] for look in looks if not isinstance(look, str)),
        errors=errors,
        leaks=_with_all_groups(find_leaks(prints, held), loaded),
        sampled=len(train) + len(val) < len(loaded.all),
        bounds=bounds,
        n_types=n_types,
    )
    findings = tuple(found for check in CHECKS if (found := check(seen)) is not None)
    return _report(seen, findings)


_Look = tuple[SampleFigures, Print] | str


def _look(sample: Sample) -> _Look:
    """Measure a sample and take its print, or say why it cannot be read."""
    try:
        held = Sample(
            sample.name, sample.group, sample.split, mpp=sample.mpp, **vars(sample.arrays)
        )
        return measure(held), print_of(held)
    except InputError as error:
        return str(error)


def _some(samples: Sequence[Sample], n: int) -> list[Sample]:
    n = min(n, len(samples))
    return [samples[k * len(samples) // n] for k in range(n)]


def _with_all_groups(leaks: Leaks, loaded: LoadedData) -> Leaks:
    """Compare source images of all samples, not only of those that were looked at."""
    groups = {s.group for s in loaded.train} & {s.group for s in loaded.val}
    return Leaks(leaks.same, tuple(sorted(groups)), leaks.near)


def _report(seen: _Seen, findings: tuple[Finding, ...]) -> DataReport:
    nuclei = sum(f.nuclei for f in seen.figures)
    labelled = sum(f.nuclei for f in seen.labelled)
    inside = sum(f.inside for f in seen.filled)
    weighted = sum(f.magnitude * f.inside for f in seen.filled)
    return DataReport(
        findings=findings,
        train_images=len(seen.data.train),
        val_images=len(seen.data.val),
        nuclei=nuclei,
        coverage=_share(inside, sum(f.pixels for f in seen.figures)),
        touching=_share(sum(f.touching for f in seen.labelled), labelled),
        magnitude=_share(weighted, inside),
        notes=seen.data.notes,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# --- the checks ----------------------------------------------------------------------


def _files(seen: _Seen) -> Finding:
    problems = (*seen.data.problems, *seen.errors)
    tried = len(seen.data.all) + len(seen.data.problems)
    if seen.data.faults:
        return Finding("files", FAULT, "; ".join(seen.data.faults[:SHOWN]))
    if seen.errors or len(problems) > seen.bounds.problems * tried:
        words = f"{len(problems)} of {tried} cannot be used: {'; '.join(problems[:SHOWN])}"
        return Finding("files", FAULT, words)
    if problems:
        words = f"{len(problems)} of {tried} left out: {'; '.join(problems[:SHOWN])}"
        return Finding("files", WARN, words)
    part = f"; {len(seen.figures)} of them were looked at" if seen.sampled else ""
    return Finding("files", OK, f"all {tried} samples can be read{part}")


def _nuclei(seen: _Seen) -> Finding:
    empty = [f.name for f in seen.figures if not f.inside]
    n = sum(f.nuclei for f in seen.figures)
    for split, samples in (("training", seen.data.train), ("validation", seen.data.val)):
        names = {s.name for s in samples}
        if samples and not any(f.inside for f in seen.filled if f.name in names):
            words = (
                f"no {split} image has a nucleus: all labels are background. Give labels with "
                "0 = background and one number per nucleus."
            )
            return Finding("nuclei", FAULT, words)
    if empty:
        words = f"{n:,} nuclei; {len(empty)} images without any ({_named(empty)})"
        return Finding("nuclei", WARN if len(empty) > len(seen.figures) / 2 else OK, words)
    return Finding("nuclei", OK, f"{n:,} nuclei")


def _coverage(seen: _Seen) -> Finding:
    inside, pixels = sum(f.inside for f in seen.figures), sum(f.pixels for f in seen.figures)
    mean = _share(inside, pixels)
    full = [f.name for f in seen.figures if f.coverage > seen.bounds.coverage]
    words = f"{mean:.0%} of all pixels are nucleus"
    if mean > seen.bounds.mean_coverage:
        words += (
            ", far more than in any tissue: targets are likely to come from the wrong channel, or "
            "background and nuclei are swapped. Look at the labels."
        )
        return Finding("coverage", FAULT, words)
    if full:
        words += (
            f"; above {seen.bounds.coverage:.0%} in {len(full)} images ({_named(full)}): look at "
            "their labels"
        )
        return Finding("coverage", WARN, words)
    return Finding("coverage", OK, words)


def _masks(seen: _Seen) -> Finding | None:
    """Tell labels that are a mask, or were made from one."""
    if not seen.labelled:
        return None
    bounds = seen.bounds
    filled = [f for f in seen.labelled if f.nuclei]
    parted = [f.name for f in filled if f.parts >= bounds.mask_parts * f.nuclei]
    if parted and len(parted) > len(filled) / 2:
        words = (
            f"labels are masks or maps of types, not instances: one id lies on many separate "
            f"parts ({_named(parted)}). Give every nucleus an id of its own."
        )
        return Finding("instances", FAULT, words)
    n, touching = sum(f.nuclei for f in filled), sum(f.touching for f in filled)
    share = _share(touching, n)
    if n >= bounds.mask_nuclei and share < bounds.touching:
        words = (
            f"{share:.1%} of {n:,} nuclei touch another, in tissue it is a third: these may be "
            "connected components of a mask. Nothing can be learned of touching nuclei from them."
        )
        return Finding("instances", WARN, words)
    if parted:
        words = f"one id lies on many parts in {len(parted)} images ({_named(parted)})"
        return Finding("instances", WARN, words)
    if not n:
        return None
    return Finding("instances", OK, f"{share:.0%} of {n:,} nuclei touch another")


def _hv(seen: _Seen) -> Finding | None:
    inside = sum(f.inside for f in seen.filled)
    if not inside:
        return None
    mean = sum(f.magnitude * f.inside for f in seen.filled) / inside
    low, high = seen.bounds.magnitude
    where = "computed from labels" if seen.labelled else "as stored"
    words = f"mean magnitude of target HV inside nuclei {mean:.2f} ({where}; usual 0.67 to 0.69)"
    if mean == 0 or math.isnan(mean):
        return Finding("HV", FAULT, f"{words}: there is nothing to learn")
    if not low <= mean <= high:
        hint = "very small nuclei, or HV of another scale" if mean < low else "HV of another scale"
        return Finding("HV", WARN, f"{words}: {hint}")
    return Finding("HV", OK, words)


def _types(seen: _Seen) -> Finding | None:
    typed = [f for f in seen.figures if f.highest_type >= 0]
    highest = max((f.highest_type for f in typed), default=-1)
    if seen.n_types is None:
        words = "types are there, but the model learns none" if typed else "no types"
        return Finding("types", OK, words)
    if len(typed) < len(seen.figures):
        missing = [f.name for f in seen.figures if f.highest_type < 0]
        words = (
            f"{len(missing)} images have no types ({_named(missing)}), and the model learns "
            f"{seen.n_types - 1}; leave them out, or start from a model without types."
        )
        return Finding("types", FAULT, words)
    if highest >= seen.n_types:
        words = (
            f"types go up to {highest}, the model knows 1 to {seen.n_types - 1}; start from a "
            "model with as many types."
        )
        return Finding("types", FAULT, words)
    shares = [f.untyped for f in typed if not math.isnan(f.untyped)]
    untyped = float(np.mean(shares)) if shares else 0.0
    words = f"types 1 to {highest}"
    if untyped > seen.bounds.untyped:
        return Finding("types", WARN, f"{words}; {untyped:.0%} of nucleus pixels have none")
    return Finding("types", OK, words)


def _images(seen: _Seen) -> Finding:
    blank = [f.name for f in seen.figures if f.blank]
    if not blank:
        return Finding("images", OK, "no image is blank")
    words = f"{len(blank)} images are of one colour ({_named(blank)})"
    return Finding("images", FAULT if len(blank) == len(seen.figures) else WARN, words)


def _magnification(seen: _Seen) -> Finding | None:
    known = [f.mpp for f in seen.figures if f.mpp is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    words = f"{low:g} to {high:g} micrometres per pixel" if high > low else f"{low:g} micrometres"
    if high > low * seen.bounds.mpp_ratio:
        return Finding("magnification", WARN, f"{words}: images are not brought to one scale")
    return Finding("magnification", OK, words)


def _validation(seen: _Seen) -> Finding:
    if not seen.data.val:
        return Finding("validation", FAULT, "there is no validation image; add one")
    words = seen.data.split_words or f"{len(seen.data.val)} images"
    if len(seen.data.all) == 2 and "one image only" in words:
        words += "; scores come out too good, add an image of another slide"
        return Finding("validation", WARN, words)
    return Finding("validation", OK, words)


def _leak(seen: _Seen) -> Finding:
    leaks = seen.leaks
    if leaks.same:
        pairs = _named([f"{a} = {b}" for a, b in leaks.same])
        words = f"{len(leaks.same)} validation images are also trained on ({pairs}); remove them"
        return Finding("leak", FAULT, words)
    if leaks.groups:
        words = (
            f"parts of the same source image are in training and validation "
            f"({_named(leaks.groups)}); put each image on one side"
        )
        return Finding("leak", FAULT, words)
    if leaks.near:
        pairs = _named([f"{a} ~ {b}" for a, b in leaks.near])
        words = f"{len(leaks.near)} validation images look like training images ({pairs})"
        return Finding("leak", WARN, words)
    return Finding("leak", OK, "no image is in training and validation")


CHECKS: tuple[Callable[[_Seen], Finding | None], ...] = (
    _files,
    _images,
    _nuclei,
    _coverage,
    _masks,
    _hv,
    _types,
    _magnification,
    _validation,
    _leak,
)
"""In the order they are told."""
