"""Checks of an augmentation: what it does to HV, labels, types and image.

``augmentation`` may be

- a function ``f(image, labels, hv)`` (or ``f(image, labels, hv, types)``) that returns as many:
  image uint8 (H, W, 3), labels int (H, W), HV float32 (2, H, W) in the channel order and sign
  that :attr:`.Setup.target_order` and ``target_sign`` say;
- a function of the albumentations kind, ``f(image=, mask=, hv=)`` that returns a dict; HV as
  (2, H, W), or (H, W, 2) where that is what it wants;
- declared rules: a mapping of turns (``hflip``, ``vflip``, ``rot90`` against the clock,
  ``rot180``, ``rot270``, ``transpose``, ``transverse``, ``identity``) to the 2 x 2 matrix that
  the two channels of stored HV are multiplied with;
- ``"ours"`` (that of the training), ``"story"`` (rules of [H, V] on data stored [V, H]),
  ``"none"``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence

from ...errors import UserError
from ..types import Progress
from .augment_draws import Draw, measured, seeded
from .augment_findings import hv_finding, image_finding, labels_finding, mean_finding, types_finding
from .augment_limits import AugmentationLimits
from .augment_probe import Probe, probes_of, synthetic_probes
from .augment_reading import Augmentation, read_augmentation
from .augment_reading import Draw as DrawOne
from .augment_rules import RuleRow, rows_of_rules, rules_hv, rules_mean
from .augment_words import HV, IMAGE, LABELS, MEAN, TYPES
from .bench import Bench
from .registry import Check, Steps
from .report import NOT_TESTED, Finding

__all__ = ["CHECKS", "AugmentationLimits"]

LIMITS = AugmentationLimits()
KEPT, READ = "augmentation.draws", "augmentation.read"
Judge = Callable[[Sequence[Draw], Bench, AugmentationLimits], Finding]


def draws_of(bench: Bench, limits: AugmentationLimits) -> Generator[Progress, None, list[Draw]]:
    """Draw and measure; the same draws for all checks of a bench.

    Raises
    ------
    InputError
        If the augmentation fails.
    """
    if KEPT not in bench.kept:
        bench.kept[KEPT] = yield from _all_draws(_read(bench), bench, limits)
    made = bench.kept[KEPT]
    if isinstance(made, UserError):
        raise made
    draws: list[Draw] = made
    return draws


def _read(bench: Bench) -> Augmentation:
    if READ not in bench.kept:
        bench.kept[READ] = read_augmentation(bench.case.augmentation)
    made: Augmentation = bench.kept[READ]
    return made


def _all_draws(
    given: Augmentation, bench: Bench, limits: AugmentationLimits
) -> Generator[Progress, None, list[Draw] | UserError]:
    """Draw with HV as (2, H, W); with HV as (H, W, 2) where that fails or comes out wrong."""
    yield Progress(0, limits.n_draws, "Crops for the augmentation")
    probes = probes_of(bench, limits)
    best: list[Draw] | UserError | None = None
    for draw in (given.draw, given.other):
        if draw is None:
            continue
        try:
            made = yield from _some_draws(draw, probes, limits)
        except UserError as error:
            try:
                made = yield from _some_draws(draw, synthetic_probes(bench.setup, limits), limits)
            except UserError:
                best = best or error
                continue
        if not any(d.deviation > limits.deviation for d in made):
            return made
        if best is None or isinstance(best, UserError) or _right(made, limits) > 0.99:
            best = made
    return best if best is not None else []


def _right(draws: Sequence[Draw], limits: AugmentationLimits) -> float:
    known = [d for d in draws if d.matrix is not None]
    return sum(d.deviation <= limits.deviation for d in known) / max(len(known), 1)


def _some_draws(
    draw: DrawOne, probes: Sequence[Probe], limits: AugmentationLimits
) -> Generator[Progress, None, list[Draw]]:
    began, made = time.perf_counter(), []
    for number in range(limits.n_draws):
        late = time.perf_counter() - began > limits.seconds
        if late and number >= limits.least_draws:
            break
        yield Progress(number, limits.n_draws, "Draws of the augmentation")
        which = number % len(probes)
        with seeded(number):
            drawn = draw(probes[which], number)
        made.append(measured(probes[which], which, drawn, limits))
    return made


def _runs(
    judge: Judge, rules: Callable[[Sequence[RuleRow], Bench], Finding] | None, finding_id: str
) -> Callable[[Bench], Steps]:
    def run(bench: Bench) -> Iterator[Progress | Finding]:
        given = _read(bench)
        if given.rules and rules is not None:
            yield rules(rows_of_rules(given, bench.setup), bench)
        elif given.rules:
            words = "Not tested: rules are declared, there is no function to draw from."
            title = next(c.title for c in CHECKS if c.id == finding_id)
            yield Finding(finding_id, NOT_TESTED, title, words)
        else:
            draws = yield from draws_of(bench, LIMITS)
            yield judge(draws, bench, LIMITS)

    return run


NEEDS = ("augmentation",)
CHECKS: tuple[Check, ...] = (
    Check(LABELS, "Labels and image move together", NEEDS, _runs(labels_finding, None, LABELS)),
    Check(HV, "HV turns with its nuclei", NEEDS, _runs(hv_finding, rules_hv, HV)),
    Check(MEAN, "Mean transform of HV", NEEDS, _runs(mean_finding, rules_mean, MEAN)),
    Check(TYPES, "Types after augmentation", NEEDS, _runs(types_finding, None, TYPES)),
    Check(IMAGE, "Image after augmentation", NEEDS, _runs(image_finding, None, IMAGE)),
)
"""In the order in which they run."""
