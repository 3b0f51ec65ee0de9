"""What a look at training data gives: bounds, findings, a verdict."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import InputError

OK, WARN, FAULT = "ok", "warn", "fault"
"""Verdicts; with a fault training must not start."""


@dataclass(frozen=True)
class DataBounds:
    """From where on data look odd.

    Parameters
    ----------
    coverage : float
        Share of nucleus pixels above which an image is named.
    mean_coverage : float
        The same over all images: above it the mask is likely to be wrong, and refused.
    touching : float
        Share of touching nuclei below which labels look like those of a mask.
    mask_nuclei : int
        Nuclei from which that is said.
    mask_parts : float
        Parts per instance from which labels are a mask or a map of types.
    magnitude : tuple of float
        Mean length of target HV that is usual.
    untyped : float
        Share of nucleus pixels without a type that is worth a word.
    problems : float
        Share of samples that cannot be used from which training is refused.
    mpp_ratio : float
        Largest to smallest micrometres per pixel that is worth a word.
    samples : int
        Samples looked at, at most, in training and in validation each.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    coverage: float = 0.5
    mean_coverage: float = 0.6
    touching: float = 0.01
    mask_nuclei: int = 100
    mask_parts: float = 5.0
    magnitude: tuple[float, float] = (0.55, 0.80)
    untyped: float = 0.05
    problems: float = 0.1
    mpp_ratio: float = 1.5
    samples: int = 400

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
    """What was found in training data.

    Parameters
    ----------
    findings : tuple of Finding
    train_images, val_images, nuclei : int
        Nuclei of the samples that were looked at.
    coverage, touching, magnitude : float
        Share of nucleus pixels, share of nuclei that touch another, mean length of target HV;
        NaN where not known.
    notes : tuple of str
        What was assumed while reading.
    """

    findings: tuple[Finding, ...]
    train_images: int
    val_images: int
    nuclei: int
    coverage: float
    touching: float
    magnitude: float
    notes: tuple[str, ...] = ()

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
