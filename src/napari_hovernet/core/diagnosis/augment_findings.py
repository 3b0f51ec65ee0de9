"""Judge the draws of an augmentation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .augment_causes import Cause, cause_of, pairs_of, remedy_of
from .augment_draws import Draw, mean_matrix
from .augment_limits import AugmentationLimits
from .augment_reading import name_of
from .augment_words import HV, IMAGE, LABELS, MEAN, TYPES, hv_plot, judged_mean
from .bench import Bench
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Remedy

__all__ = [
    "HV", "IMAGE", "LABELS", "MEAN", "TYPES", "hv_finding", "image_finding", "labels_finding",
    "mean_finding", "types_finding",
]  # fmt: skip

LAYERS = ("image", "truth", "target_hv_x", "target_hv_y")
BYTE = 255.0
SMALL_BYTES = ("uint8", "int8", "bool")
NO_LABELS = "Not tested: HV cannot be recomputed from the labels that come back ({})."


def hv_finding(draws: Sequence[Draw], bench: Bench, limits: AugmentationLimits) -> Finding:
    """Judge whether HV that comes back is that of the labels that come back."""
    title = "HV turns with its nuclei"
    known = [d for d in draws if d.matrix is not None]
    if len(known) < max(limits.least_draws // 2, 1):
        return Finding(HV, NOT_TESTED, title, NO_LABELS.format(_why_not(draws, limits)))
    right = [d for d in known if d.deviation <= limits.deviation]
    share = len(right) / len(known)
    by_turn = _by_turn(known, limits)
    numbers = {f"{name}: share right": v for name, v in by_turn.items()}
    numbers["draws"] = float(len(known))
    plot = hv_plot(by_turn) if by_turn else None
    if 1 - share > limits.wrong_share:
        return _wrong_hv(known, share, numbers, bench, limits)
    touch = [d.touching for d in right if not math.isnan(d.touching)]
    inner = [d.inner for d in right]
    blurred = float(np.mean(touch)) if touch else math.nan
    inside = float(np.mean(inner))
    numbers |= {"error where nuclei touch": blurred, "error inside": inside}
    if touch and blurred > limits.touching_error and inside < limits.inner_error:
        return Finding(
            HV, WARN, "HV is interpolated across borders",
            f"Directions are right in {share:.0%} of {len(known)} draws, but where nuclei touch "
            f"HV is off by {blurred:.2f} ({inside:.2f} inside): the jump between them is blurred, "
            "and separation needs it.",
            value=blurred, threshold=limits.touching_error, unit="HV", certainty=0.45,
            remedy=Remedy("Move HV by the nearest pixel, or compute it from the moved labels."),
            numbers=numbers, layers=LAYERS, plot=plot,
        )  # fmt: skip
    return Finding(
        HV, OK, title,
        f"HV that comes back is that of the labels that come back in {share:.0%} of {len(known)} "
        f"draws ({_turns_said(by_turn)}); error inside nuclei {inside:.2f}.",
        value=share, threshold=1 - limits.wrong_share, unit="share", numbers=numbers, plot=plot,
    )  # fmt: skip


def _wrong_hv(
    known: Sequence[Draw], share: float, numbers: dict[str, float], bench: Bench,
    limits: AugmentationLimits,
) -> Finding:  # fmt: skip
    wrong = [d for d in known if d.deviation > limits.deviation]
    by_turn = _by_turn(known, limits)
    cause = cause_of(pairs_of(known), limits)
    title, text = _title(known, wrong, cause, limits)
    remedy = remedy_of(cause, bench.setup.target_order, settable="targets" not in bench.case.has)
    stored = "[H, V]" if bench.setup.target_order == "hv" else "[V, H]"
    bad = [name for name, v in by_turn.items() if v < 1]
    return Finding(
        HV, FAULT, title,
        f"HV handed over as {stored} comes back right in {share:.0%} of {len(known)} draws, and "
        f"should in all; wrong are {', '.join(bad) or 'draws of unknown moves'}.",
        value=share, threshold=1 - limits.wrong_share, unit="share",
        certainty=min(0.9 + 0.12 * (1 - share), 0.97),
        remedy=Remedy(text) if text else remedy, numbers=numbers, layers=LAYERS,
        plot=hv_plot(by_turn) if by_turn else None,
    )  # fmt: skip


def _title(
    known: Sequence[Draw], wrong: Sequence[Draw], cause: Cause | None, limits: AugmentationLimits
) -> tuple[str, str]:
    """Title of wrong HV, and a remedy of its own where no cause has one."""
    if sum(d.unmoved for d in wrong) > len(wrong) / 2:
        return (
            "HV stays where it is while image and labels move",
            "Move HV together with the labels and turn its vectors, or compute it from the moved "
            "labels.",
        )
    if cause is not None:
        return cause.title, ""
    matrix = np.mean([d.matrix for d in known if d.matrix is not None], axis=0)
    factor = float(np.trace(matrix)) / 2
    straight = float(np.linalg.norm(matrix - factor * np.eye(2), 2)) < limits.deviation * abs(
        factor
    )
    if straight and factor > 0 and len(wrong) > len(known) / 2:
        return (
            f"HV comes back {factor:.3g} times as long",
            "Keep the values of HV as they are: no scaling to bytes, no normalisation.",
        )
    by_turn = _by_turn(known, limits)
    bad = [name for name, v in by_turn.items() if v < 1]
    where = f" in {', '.join(bad)}" if bad else ""
    return f"HV comes back wrong{where}", ""


def _by_turn(draws: Sequence[Draw], limits: AugmentationLimits) -> dict[str, float]:
    """Share of right draws by the (nearest) turn."""
    counts: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for d in draws:
        if d.move is not None:
            name = name_of(d.move.turn)
            counts[name] += 1
            right[name] += d.deviation <= limits.deviation
    return {name: right[name] / n for name, n in sorted(counts.items())}


def _turns_said(by_turn: dict[str, float]) -> str:
    return f"turns met: {', '.join(by_turn)}" if by_turn else "moves not recognised"


def _why_not(draws: Sequence[Draw], limits: AugmentationLimits) -> str:
    if any(d.state.broken(limits) or (d.image and d.image.apart(limits)) for d in draws):
        return LABELS
    return "too few whole nuclei"


def mean_finding(draws: Sequence[Draw], bench: Bench, limits: AugmentationLimits) -> Finding:
    """Judge the mean transform."""
    del bench
    title = "Mean transform of HV"
    mean = mean_matrix(draws)
    known = [d for d in draws if d.matrix is not None]
    if mean is None or len(known) < max(limits.least_draws // 2, 1):
        return Finding(MEAN, NOT_TESTED, title, NO_LABELS.format(_why_not(draws, limits)))
    turns = {d.move.turn for d in known if d.move is not None}
    plain = all(d.move is not None and d.move.exact for d in known)
    over = "over the eight turns" if plain and len(turns) == 8 else f"over {len(known)} draws"
    remedy = Remedy(
        "Mend what augmentation does to HV (see augmentation.hv); no weight of the magnitude "
        "brings directions back."
    )
    return judged_mean(MEAN, mean, over, limits, remedy)


def labels_finding(draws: Sequence[Draw], bench: Bench, limits: AugmentationLimits) -> Finding:
    """Judge whether labels go with their image, and keep their ids."""
    del bench
    title, n = "Labels and image move together", len(draws)
    lost = [d for d in draws if d.state.lost]
    mixed = [d for d in draws if max(d.state.fractions, d.state.foreign) > limits.foreign]
    told = [d for d in draws if d.image is not None]
    apart = [d for d in told if d.image is not None and d.image.apart(limits)]
    numbers = {
        "draws": float(n), "ids lost": len(lost) / max(n, 1), "ids mixed": len(mixed) / max(n, 1),
        "labels apart from the image": len(apart) / max(len(told), 1),
    }  # fmt: skip
    if len(lost) > limits.moved_share * n:
        return Finding(
            LABELS, FAULT, "The ids of nuclei are lost",
            f"In {len(lost)} of {n} draws the nuclei come back with hardly any ids "
            f"({lost[0].state.kind}); each nucleus must keep its own.",
            value=len(lost) / n, threshold=limits.moved_share, unit="share", certainty=0.95,
            remedy=Remedy("Move the instance labels themselves (int32), not a mask of them."),
            numbers=numbers, layers=LAYERS,
        )  # fmt: skip
    if len(mixed) > limits.moved_share * n:
        worst = max(max(d.state.fractions, d.state.foreign) for d in mixed)
        return Finding(
            LABELS, FAULT, "Labels are interpolated",
            f"In {len(mixed)} of {n} draws labels come back with ids that were never there, on up "
            f"to {worst:.1%} of the nucleus pixels ({mixed[0].state.kind}); there should be none.",
            value=worst, threshold=limits.foreign, unit="share", certainty=0.95,
            remedy=Remedy("Move labels by the nearest pixel (order=0, INTER_NEAREST, as a mask)."),
            numbers=numbers, layers=LAYERS,
        )  # fmt: skip
    if len(apart) > max(limits.moved_share * len(told), 0):
        return _apart(apart, told, numbers, limits)
    narrow = [d for d in draws if d.state.kind in SMALL_BYTES]
    if narrow:
        return Finding(
            LABELS, WARN, "Labels come back in 8 bits",
            f"Labels come back as {narrow[0].state.kind}: of more than 255 nuclei some merge.",
            value=8.0, threshold=16.0, unit="bits", certainty=0.4,
            remedy=Remedy("Keep labels in int32 or uint16."), numbers=numbers,
        )  # fmt: skip
    if not told:
        words = f"Not tested: the move cannot be told in any of {n} draws."
        return Finding(LABELS, NOT_TESTED, title, words)
    mean = float(np.mean([d.image.correlation for d in told if d.image is not None]))
    return Finding(
        LABELS, OK, title,
        f"In all of {len(told)} draws the image lies under its labels (correlation with the image "
        f"moved as the labels were: {mean:.2f}), and ids are those that went in.",
        value=len(apart) / len(told), threshold=limits.moved_share, unit="share", numbers=numbers,
    )  # fmt: skip


def _apart(
    apart: Sequence[Draw], told: Sequence[Draw], numbers: dict[str, float],
    limits: AugmentationLimits,
) -> Finding:  # fmt: skip
    kinds: Counter[str] = Counter()
    for d in apart:
        if d.image is not None and d.image.other is not None:
            kinds[f"off by {name_of(d.image.other)}"] += 1
        elif d.image is not None:
            kinds["off by {:.0f}, {:.0f} px (x, y)".format(*d.image.shift)] += 1
    said = ", ".join(f"{name} ({n} x)" for name, n in kinds.most_common(3))
    share = len(apart) / len(told)
    return Finding(
        LABELS, FAULT, "Labels move otherwise than their image",
        f"In {len(apart)} of {len(told)} draws the image lies elsewhere than its labels: {said}; "
        "it should in none.",
        value=share, threshold=limits.moved_share, unit="share",
        certainty=0.97 if share > 2 * limits.moved_share else 0.8,
        remedy=Remedy("Draw the move once and apply it to image, labels and HV alike."),
        numbers=numbers, layers=LAYERS,
    )  # fmt: skip


def types_finding(draws: Sequence[Draw], bench: Bench, limits: AugmentationLimits) -> Finding:
    """Judge whether nuclei keep their types."""
    del bench
    title = "Types after augmentation"
    known = [d.types_wrong for d in draws if not math.isnan(d.types_wrong)]
    if not known:
        words = "Not tested: it does not take types (an argument `types`)."
        return Finding(TYPES, NOT_TESTED, title, words)
    wrong = float(np.mean(known))
    bad = wrong > limits.types_wrong
    return Finding(
        TYPES, FAULT if bad else OK,
        "Types do not move with their nuclei" if bad else title,
        f"{wrong:.1%} of the nuclei have another type than before in {len(known)} draws; it "
        "should be none.",
        value=wrong, threshold=limits.types_wrong, unit="share", certainty=0.93 if bad else 0.0,
        remedy=Remedy("Move the types as the labels are moved, by the nearest pixel.")
        if bad else Remedy(""),
        numbers={"share of nuclei": wrong}, layers=("image", "types") if bad else (),
    )  # fmt: skip


def image_finding(draws: Sequence[Draw], bench: Bench, limits: AugmentationLimits) -> Finding:
    """Judge range, type and colours of the images that come back."""
    del bench
    title, n = "Image after augmentation", len(draws)
    kinds = Counter(d.image_kind for d in draws)
    low = min((d.looks[0] for d in draws), default=math.nan)
    high = max((d.looks[1] for d in draws), default=math.nan)
    jumps = [d.jumps for d in draws if not math.isnan(d.jumps)]
    share = float(np.mean([j > limits.jumps for j in jumps])) if jumps else 0.0
    numbers = {"least value": low, "largest value": high, "share of draws with jumps": share}
    said = f"{n} draws give {', '.join(kinds)}, values {low:.3g} to {high:.3g}."
    common = {"numbers": numbers, "layers": ("image",)}
    broken = [d for d in draws if math.isnan(d.looks[0]) or d.looks[1] - d.looks[0] < 1e-6]
    if len(broken) > limits.moved_share * n:
        return Finding(
            IMAGE, FAULT, "Images come back blank or not finite",
            f"{len(broken)} of {n} images are of one value, NaN or infinite.",
            value=len(broken) / n, threshold=limits.moved_share, unit="share", certainty=0.94,
            remedy=Remedy("Look at one image after each step; multiply 0..1 by 255 only once."),
            **common,  # type: ignore[arg-type]
        )  # fmt: skip
    swapped = sum(d.swapped for d in draws)
    if swapped > n / 4:
        return Finding(
            IMAGE, FAULT, "Red and blue are swapped in augmentation",
            f"In {swapped} of {n} draws the image fits the one that went in in the other channel "
            "order; it should in none.",
            value=swapped / n, threshold=0.25, unit="share", certainty=0.85,
            remedy=Remedy("Keep one channel order: OpenCV reads and writes BGR."),
            **common,  # type: ignore[arg-type]
        )  # fmt: skip
    if share > limits.jumps:
        return Finding(
            IMAGE, WARN, "Grey levels jump in augmentation",
            f"In {share:.0%} of the draws more than {limits.jumps:.0%} of the pixels lie over "
            f"{limits.jump:.0f} grey levels from what one gain per channel explains: bytes that "
            "wrap round (250 + 10 = 4), or parts cut out.",
            value=share, threshold=limits.jumps, unit="share", certainty=0.45,
            remedy=Remedy("Compute in float32 and clip to 0..255 before turning back to uint8."),
            **common,  # type: ignore[arg-type]
        )  # fmt: skip
    if "uint8" not in "".join(kinds) and (high <= 2.0 or low < -1.0):
        return Finding(
            IMAGE, WARN, "Images come back in another range",
            f"{said} Networks here take 0..255 and divide by 255 themselves.",
            value=high, threshold=BYTE, unit="grey level", certainty=0.35,
            remedy=Remedy("Return uint8 of 0..255, or make sure the network divides no more."),
            **common,  # type: ignore[arg-type]
        )  # fmt: skip
    return Finding(IMAGE, OK, title, f"{said} Colours change smoothly.", numbers=numbers)
