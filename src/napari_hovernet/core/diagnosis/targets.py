"""Checks of stored targets: how HV is meant, whether HV and NP are those of the labels, types."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...errors import InputError
from ..data.items import listed
from ..data.stored_hv import HVProbe, detect_hv
from ..hv import (
    PRESETS,
    HVConvention,
    compact_ids,
    convert,
    hv_targets,
    moments_of,
    runs_of,
    write_offsets,
)
from ..masks import label_parts
from ..types import Float32, Progress
from .bench import Bench, Item, channel_first, kept
from .data import look_steps, place_of, scaled
from .engine import ALONE, Steps, Verdict, check, fault, ok, skip, warn
from .placement import band, count_nuclei, pair_of, where_of
from .report import Plot, Remedy

FINITE = 1e-6  # Rounding in float32: no HV is as short
DIVISORS = (127.0, 128.0, 255.0, 100.0, 1000.0, 32767.0)
"""What HV is multiplied with when it is stored as whole numbers."""
ROUND = 0.03
"""How near to one of them the length must be."""
LARGEST = 2.0
"""HV reaching further was never divided: nothing but 1 is far enough below."""
NEGATIVE = 0.02
"""Share of negative values below which the sign was lost (half are negative)."""
FOLLOWS = 0.5
"""Share of stored HV (squares) explained by HV of the labels, turned and scaled in any way, from
which it is theirs. Sound in any convention 0.95 to 1, in pixels 0.75 and more, blurred by 3 px
0.6; moved by a third of a nucleus 0.2, noise 0."""
LENGTH = 0.12
"""Deviation (log) of the length that is a fault: no convention here comes so near another."""
CLEAR = 0.6
"""Share of the length of a row of the 2 x 2 matrix that its larger entry has where order and sign
are clear."""
FEW = 0.02
"""Residual (share of the length) by which another convention must be nearer than ours."""
KNOWN = 0.03
"""Residual up to which a convention is that of a preset, which is no fault."""
UNLIKE = 0.14
"""Residual of the nearest convention from which HV is not of these labels (else up to 0.05)."""
BLURS = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Sigmas in pixels of blurs that are tried."""
OVERLAP = 0.7
"""Overlap (IoU) of stored NP with the labels below which it is a fault (1 in health, 0.9 after a
resize); with where HV is not 0, which a blur widens, 0.6."""
AGAIN = "compute HV again from the labels of that size (hv_targets)."
LAYERS = ("truth", "target_hv_x", "target_hv_y")


@dataclass(frozen=True, eq=False)
class Stored:
    """What stored HV of one image says."""

    item: Item
    hv: Float32  # (2, H, W) as read
    inside: npt.NDArray[np.bool_]
    bad: int  # Values that are not finite
    outside: float  # Most frequent value of the background, NaN if there is none
    negative: float  # Share of negative values inside
    top: float  # Largest value inside, a few apart
    matrix: npt.NDArray[np.float64] | None  # Stored = matrix @ HV of the labels; None without
    follows: float  # Share of it that this explains

    @property
    def reading(self) -> tuple[bool, bool, bool] | None:
        """Whether channels are swapped, and rise along x, along y; None if not clear."""
        if self.matrix is None or self.follows < FOLLOWS:
            return None
        size = np.abs(self.matrix)
        swapped = bool(size[0, 1] + size[1, 0] > size[0, 0] + size[1, 1])
        rows = self.matrix[::-1] if swapped else self.matrix
        if (np.abs(rows.diagonal()) < CLEAR * np.linalg.norm(rows, axis=1)).any():
            return None
        return swapped, bool(rows[0, 0] > 0), bool(rows[1, 1] > 0)


@kept
def _stored(bench: Bench, item: Item) -> Stored | None:
    raw, hv = bench.raw(item.index), item.target_hv
    if hv is None or raw is None or not hv.size:
        return None
    given = channel_first(np.asarray(raw.hv))
    finite = np.isfinite(given) if given.dtype.kind == "f" else np.ones(given.shape, bool)
    labels = item.labels if item.labels is not None and item.labels.shape == hv.shape[1:] else None
    area = np.abs(hv).max(0) > 0
    inside = labels > 0 if labels is not None else area
    if labels is None and item.target_np is not None and item.target_np.shape == area.shape:
        inside = item.target_np > 0
    inside = inside if inside.any() else np.ones_like(inside)
    values, out = hv[:, inside], np.round(hv[:, ~inside][:, ::7], 3)
    mode, n = Counter(out.ravel().tolist()).most_common(1)[0] if out.size else (0.0, 0)
    matrix, follows = None, 0.0
    if labels is not None and labels.any():
        ref = hv_targets(labels)[:, inside].astype(np.float64)
        matrix = (values @ ref.T) @ np.linalg.pinv(ref @ ref.T)
        rest = np.square(values - matrix @ ref).sum()
        follows = 1 - float(rest / max(float(np.square(values.astype(np.float64)).sum()), 1e-9))
    return Stored(
        item, hv, inside, int((~finite).sum()), float(mode) if n > 0.5 * out.size else np.nan,
        float((values < 0).mean()), float(np.percentile(np.abs(values), 99.9)), matrix, follows,
    )  # fmt: skip


def all_stored(bench: Bench) -> list[Stored]:
    """Look at the stored HV of (some of) the images."""
    found = filter(None, map(bench.item, bench.indices[:32]))
    return [s for item in found if (s := _stored(bench, item)) is not None]


@check("data.hv_convention", "How stored HV is meant", needs=("targets",),
       explains=("data.targets", "model.hv*", "model.score"))  # fmt: skip
def hv_convention(bench: Bench) -> Steps:
    """Say whether stored HV has the order, sign, divisor, scale and centre that the set-up says."""
    yield Progress(0, 2, "Looking at stored HV")
    found = all_stored(bench)
    if not found:
        return skip("give stored hv that can be read")
    broken = list(_values(found, bench))
    yield from broken
    if broken:
        return
    told = list(_directions(found, bench))
    yield from told
    if any(v.verdict == "fault" for v in told):
        return
    yield Progress(1, 2, "Comparing stored HV with that of the labels")
    near = nearest(bench)
    yield from _scales(found, near, bench) if near is not None else _unlabelled(found, bench)


def _said(found: Sequence[Stored], bench: Bench) -> dict[str, Any]:
    return {"layers": LAYERS, "places": [place_of(s.item) for s in found[: bench.params.n_places]],
            "plain": "Stored distance maps are written in another way than read."}  # fmt: skip


def _values(found: Sequence[Stored], bench: Bench) -> Iterator[Verdict]:
    """Faults of the numbers themselves; where there is one, vectors tell nothing."""
    n = len(found)
    kinds = (
        ([s for s in found if s.bad], 0.0, "Stored HV holds NaN or infinite values",
         f"{sum(s.bad for s in found)} values are not finite: float16 ends at 65504.",
         "Store HV as float32, undivided numbers never as float16; " + AGAIN),
        ([s for s in found if s.top < FINITE or np.ptp(s.hv[0][s.inside]) < FINITE
          or np.ptp(s.hv[1][s.inside]) < FINITE], 0.5, "Stored HV is constant",
         "A channel of HV has one value in all nuclei.", AGAIN.capitalize()),
        ([s for s in found if abs(s.outside) > ROUND * s.top], 0.5,
         "Stored HV has an offset: its zero is not 0",
         f"Background has HV {np.nanmedian([s.outside for s in found] + [0.0]):.4g}; it is 0 in "
         "health: HV was written as unsigned numbers.",
         "Subtract the offset (127 or 128 of unsigned bytes) before HV is divided; " + AGAIN),
        ([s for s in found if s.negative < NEGATIVE], 0.5, "Stored HV lost its sign",
         "Hardly any HV is negative; about half is in health.",
         "HV was stored unsigned or clipped at 0: " + AGAIN))  # fmt: skip
    for bad, share, title, said, text in kinds:
        if bad and len(bad) > share * n:
            yield fault(f"{said} ({len(bad)} of {n} images)", title=title, value=len(bad) / n,
                        threshold=share, unit="share", certainty=0.96, remedy=Remedy(text),
                        decisive=True, **_said(bad, bench))  # fmt: skip
            return


def _directions(found: Sequence[Stored], bench: Bench) -> Iterator[Verdict]:
    """Say what is wrong with order and sign, by labels."""
    known = [(s, s.reading) for s in found if s.reading is not None]
    if not known:
        return
    (swapped, x, y), _ = Counter(r for _, r in known if r).most_common(1)[0]
    odd = [s for s, r in known if r != (swapped, x, y)]
    mean = np.mean([s.matrix / max(s.top, FINITE) for s, _ in known if s.matrix is not None], 0)
    rows = tuple((f"channel {i}", tuple(row.tolist())) for i, row in enumerate(mean))
    plot = Plot("matrix", "Stored HV in terms of that of the labels", ("h", "v"), rows)
    setup, common = bench.setup, {**_said([s for s, _ in known], bench), "plot": plot}
    said = (f"Of the HV of the labels, channel 0 holds {mean[0, 0]:+.2f} h {mean[0, 1]:+.2f} v, "
            f"channel 1 {mean[1, 0]:+.2f} h {mean[1, 1]:+.2f} v (right: +h, +v)")  # fmt: skip
    if odd:
        share = len(odd) / len(known)
        yield fault(
            f"{len(odd)} of {len(known)} images ({listed(s.item.name for s in odd)}) have another "
            "order or sign than the others.", value=share, threshold=0.0, unit="share",
            title="Stored HV is in mixed conventions", certainty=scaled(share, 0, 0.4, 0.88, 0.96),
            remedy=Remedy("Bring all images into the same convention: " + AGAIN),
            **{**common, "places": _said(odd, bench)["places"]})  # fmt: skip
        return
    if swapped:
        other = "vh" if setup.target_order == "hv" else "hv"
        yield fault(said + ".", title="Channels of stored HV are swapped", certainty=0.97,
                    value=float(mean[0, 0]), threshold=CLEAR, unit="share", remedy=Remedy(
                        f"Read stored HV as [{', '.join(other.upper())}]; augmentation and "
                        "separation must use the same order, or flips cancel HV.",
                        "target_order", other), **common)  # fmt: skip
    if x != y:
        axis = "y, the vertical one" if x else "x, the horizontal one"
        yield fault(said + ".", title=f"One channel of stored HV is negated ({axis})",
                    certainty=0.96, value=-1.0, threshold=0.0, remedy=Remedy(
                        f"Negate that channel (along {axis}): HV was flipped as a picture, its "
                        f"vectors were not. Better {AGAIN}"), **common)  # fmt: skip
    elif not x:
        other = "inward" if setup.target_sign == "outward" else "outward"
        yield fault(said + ".", title=f"Stored HV points {other}", certainty=0.97, value=-1.0,
                    threshold=0.0, remedy=Remedy(
                        f"Read stored HV as {other} (centre minus pixel is inward).",
                        "target_sign", other), **common)  # fmt: skip


@dataclass(frozen=True)
class Nearest:
    """The convention that comes nearest to stored HV."""

    name: str  # Of the convention: "axis, mass", a preset's, "pixels", "components", "blur 2"
    residual: float  # Share of the length that is left
    ours: float  # The same of ours
    factor: float  # Stored is so many times as long


@kept
def nearest(bench: Bench) -> Nearest | None:
    """Compare stored HV with HV of the labels in all known conventions, once; None without."""
    found = [s for s in all_stored(bench) if s.matrix is not None][:6]
    sums: dict[Any, float] = defaultdict(float)
    for s in found:
        for name, made in _candidates(s.item.labels):
            a, b = s.hv[:, s.inside], made[:, s.inside]
            size = float((a * a).sum())
            factor = float((a * b).sum()) / max(float((b * b).sum()), 1e-9)
            sums[name] += float(np.square(a - factor * b).sum()) / max(size, 1e-9) / len(found)
            sums[name, "f"] += np.log(max(factor, 1e-9)) / len(found)
    names = [name for name in sums if isinstance(name, str)]
    if not names:
        return None
    best = min(names, key=lambda name: sums[name])
    if sums["axis, mass"] <= sums[best] + FEW**2:
        best = "axis, mass"
    factor = float(np.exp(sums[best, "f"]))
    return Nearest(best, sums[best] ** 0.5, sums["axis, mass"] ** 0.5, factor)


def _candidates(labels: Any) -> Iterator[tuple[str, Float32]]:
    """HV of labels, [H, V] outward, in the ways met in the wild."""
    ours = hv_targets(labels)
    yield "axis, mass", ours
    for name, preset in PRESETS.items():
        if preset.resize == 1 and name != "default":
            claimed = HVConvention(order=preset.order, sign=preset.sign)
            yield name, convert(hv_targets(labels, preset), claimed, HVConvention())
    for scale in ("axis", "radial", "isotropic"):
        for centre in ("mass", "distance_peak"):
            if (scale, centre) != ("axis", "mass"):
                made = hv_targets(labels, HVConvention(scale=scale, centre=centre))
                yield f"{scale}, {centre}", made
    ids, n = compact_ids(labels)
    runs = runs_of(ids, False)
    count, total, _ = moments_of(runs, n)
    pixels = np.zeros_like(ours)
    write_offsets(runs, total / np.maximum(count, 1)[:, None], np.ones((n + 1, 4)), pixels)
    yield "pixels", pixels
    yield "components", hv_targets(label_parts(ids > 0)[0])
    for sigma in BLURS:
        yield f"blur {sigma:g}", ndimage.gaussian_filter(ours, (0, sigma, sigma))


def guessed(bench: Bench) -> bool:
    """Whether HV came without NP and was taken for stored: a prediction is shorter and smoother."""
    there = bench.case.items
    return bool(bench.case.notes) and there is not None and "np" not in there.has


def _scales(found: Sequence[Stored], near: Nearest, bench: Bench) -> Iterator[Verdict]:
    """Say what is wrong with length, scale and centre."""
    common, factor = _said(found, bench), near.factor
    said = (f"Nearest to stored HV is the convention {near.name!r}, {near.residual:.2f} of its "
            f"length off (ours: {near.ours:.2f}), and it is {factor:.3g} x as long")  # fmt: skip
    known = near.name in PRESETS and near.residual <= KNOWN
    if near.name == "pixels" and near.residual < 0.2:
        yield fault(said + ".", title="HV is not scaled to each nucleus: it is in pixels",
                    value=near.residual, threshold=near.ours, certainty=0.95, remedy=Remedy(
                        "Divide (normalise) the offsets of each nucleus by its own extent: "
                        + AGAIN), **common)  # fmt: skip
        return
    if near.residual > FOLLOWS:
        yield skip("stored HV does not follow the labels (see stored targets)")
        return
    by = next((d for d in DIVISORS if abs(factor - d) <= ROUND * d), 0.0)
    if near.residual > UNLIKE and not by:  # a length, of what nobody knows
        yield skip("stored HV follows no known convention (see stored targets)")
        return
    if abs(np.log(factor)) >= LENGTH:
        by = by or float(f"{factor:.3g}")
        maybe = guessed(bench) and factor < LARGEST
        yield (warn if maybe else fault)(
            said + ".", title=f"Stored HV was not divided by {by:g}" if factor > LARGEST else
            f"Stored HV is {factor:.2f} times as long as it should be", value=factor,
            threshold=1.0, unit="x", certainty=ALONE - 0.1 if maybe else
            scaled(abs(np.log(factor)), LENGTH, 0.7, 0.85, 0.97),
            remedy=Remedy(f"Divide stored HV by {by:g} when it is read, or {AGAIN}",
                          "target_divisor", by * bench.setup.target_divisor), **common)  # fmt: skip
        return
    odd = "isotropic" in near.name or "radial" in near.name or "peak" in near.name
    if odd and not known and near.residual < near.ours - FEW:
        centre = "distance_peak" in near.name
        yield (fault if centre else warn)(
            said + ".", value=near.ours, threshold=FEW, unit="share", remedy=Remedy(
                "Targets of one kind only: if others have each axis scaled by its own extent "
                "from the centre of mass, " + AGAIN),
            title="HV has its origin off the centre of mass of the nuclei" if centre else
            "HV has one scale for both axes of a nucleus", certainty=0.75 if centre else 0.6,
            **common)  # fmt: skip
        return
    yield ok(f"{said}.", value=near.ours, threshold=FOLLOWS, unit="share")


def _unlabelled(found: Sequence[Stored], bench: Bench) -> Iterator[Verdict]:
    """Without labels: the range is a fact, order and sign are told by HV itself alone."""
    top = float(np.median([s.top for s in found]))
    common = _said(found, bench)
    if top > LARGEST:
        by = next((d for d in DIVISORS if abs(top - d) <= ROUND * d), float(f"{top:.3g}"))
        yield fault(f"Stored HV reaches {top:.4g}; it lies in -1..1.", value=top, threshold=LARGEST,
                    title=f"Stored HV was not divided by {by:g}", certainty=0.93, remedy=Remedy(
                        f"Divide stored HV by {by:g} when it is read.", "target_divisor",
                        by * bench.setup.target_divisor), **common)  # fmt: skip
        return
    try:
        told = detect_hv(HVProbe(s.hv / max(s.top, FINITE), s.inside) for s in found)
    except InputError as error:
        yield skip(str(error).rstrip("."))
        return
    other = {"hv": "vh", "vh": "hv"}[bench.setup.target_order]
    if not told.sure:
        yield warn(f"No order can be told: {told.words}.", title="Stored HV has no clear direction",
                   value=told.score, threshold=0.3, certainty=ALONE - 0.05,
                   remedy=Remedy("Give labels to compare with, or " + AGAIN), **common)  # fmt: skip
    elif told.order != "hv" or told.sign != "outward":
        flip = {"inward": "outward", "outward": "inward"}[bench.setup.target_sign]
        action = ("target_order", other) if told.order != "hv" else ("target_sign", flip)
        yield warn(f"As it is read, {told.words}.", value=told.score, threshold=0.3,
                   title="Stored HV seems to have another order or sign", certainty=ALONE,
                   remedy=Remedy(f"Read it as {action[1]}, if labels agree.", *action),
                   **common)  # fmt: skip
    else:
        yield ok(f"By itself: {told.words}.", value=told.score, threshold=0.3)


# --- stored against labels ------------------------------------------------------------------


@check("data.targets", "Stored targets are those of the labels", needs=("targets",),
       explains=("model.hv*", "model.score"), after=("data.hv_convention",))  # fmt: skip
def stored_targets(bench: Bench) -> Steps:
    """Say whether stored NP and HV are those of the labels: in place, of instances, sharp."""
    yield Progress(0, 2, "Looking at stored NP")
    told = [v for v in (_np(bench),) if v is not None]
    yield Progress(1, 2, "Comparing HV with labels")
    told += _hv_of_labels(bench)
    wrong = [v for v in told if v.verdict != "ok"]
    yield from wrong or told or [skip("give labels (or both np and hv) to compare with")]


def _np(bench: Bench) -> Verdict | None:
    """Compare stored NP with labels, or else with where HV is not 0."""
    both, found, labels = np.zeros(4), [], "labels" in bench.case.has
    for item in bench.items():
        wanted = None if item.labels is None else item.labels > 0
        if wanted is None and not labels and item.target_hv is not None:
            size = np.abs(item.target_hv).max(0)
            wanted = size > 0.1 * float(np.percentile(size, 99.5))
        stored = item.target_np
        if stored is None or wanted is None or stored.shape != wanted.shape:
            continue
        found.append(item)
        on = stored > 0
        both += [(on & wanted).sum(), (on | wanted).sum(), (~on & wanted).sum(),
                 (~on | wanted).sum()]  # fmt: skip
    if not found or not both[1]:
        return None
    overlap, other = both[0] / both[1], both[2] / max(both[3], 1)
    beside, bound = ("labels", OVERLAP) if labels else ("where HV is not 0", OVERLAP - 0.1)
    said = f"Stored NP and {beside} overlap by {overlap:.2f} (IoU, 1 in health), inverted by "
    said += f"{other:.2f}."
    common = {"value": overlap, "threshold": bound, "unit": "IoU"}
    if overlap >= bound:
        return ok(said, **common)
    inverted = other > overlap and other >= bound
    return fault(
        said, title="Stored NP is inverted: 1 is background" if inverted else
        f"Stored NP is not the mask of {beside}", certainty=0.97 if inverted else 0.85, **common,
        remedy=Remedy("Read stored NP as that of background (1 - NP).", "np_channel",
                      1 - bench.setup.np_channel) if inverted else
        Remedy("Make NP from these labels again: labels > 0."), layers=("truth", "target_np"),
        places=[place_of(i) for i in found[: bench.params.n_places]],
        plain="The stored mask and the labels contradict each other.")  # fmt: skip


def _hv_of_labels(bench: Bench) -> list[Verdict]:
    found = [s for s in all_stored(bench) if s.matrix is not None]
    near = nearest(bench) if found else None
    if near is None:
        return []
    follows = float(np.median([s.follows for s in found]))
    common = _said(found, bench) | {"value": follows, "threshold": FOLLOWS, "unit": "share"}
    said = f"HV of the labels explains {follows:.2f} of stored HV (1 in health); nearest is "
    said += f"{near.name!r}, {near.residual:.2f} of its length off (ours {near.ours:.2f})"
    closer = near.residual < 0.9 * near.ours and near.ours - near.residual > FEW
    if near.name == "components" and closer:
        return [fault(said + ".", title="HV was made of connected components, not of instances",
                      certainty=0.95, remedy=Remedy(
                          "Touching nuclei share one centre there: use the instance labels, and "
                          + AGAIN), **common)]  # fmt: skip
    if near.name.startswith("blur") and closer:
        sigma = near.name.partition(" ")[2]
        maybe = guessed(bench)
        return [(warn if maybe else fault)(f"{said}: like HV blurred by {sigma} px.",
                      title="HV was blurred or resized after it was made",
                      certainty=ALONE - 0.1 if maybe else
                      scaled(near.ours, 0.1, 0.4, 0.75, 0.94), remedy=Remedy(
                          "Resize labels (nearest pixel), never HV: its jumps are what separates "
                          "nuclei; " + AGAIN), **common)]  # fmt: skip
    if follows >= FOLLOWS and near.residual >= UNLIKE:
        maybe = guessed(bench)
        return [(warn if maybe else fault)(
            f"{said}: no known way of making HV comes nearer.", certainty=ALONE - 0.1 if maybe else
            scaled(near.residual, UNLIKE, 0.3, 0.75, 0.88),
            title="Stored HV is that of other outlines than the labels have", remedy=Remedy(
                "Labels were changed, redrawn or resized after HV was made: " + AGAIN),
            **common)]  # fmt: skip
    if follows >= FOLLOWS:
        return [ok(said + ".", value=follows, threshold=FOLLOWS, unit="share")]
    pairs = [_support(s) for s in found]
    where = where_of([p for p in pairs if p is not None])
    kinds = {"shift": "Stored HV is moved against the labels", "order":
             "Stored HV belongs to other images", "turn": "Stored HV is flipped or turned against "
             "the labels", "zoom": "Stored HV has another size than the labels"}  # fmt: skip
    by = f" by {where.at[0]} rows and {where.at[1]} columns" if where.kind == "shift" else ""
    title = kinds.get(where.kind, "Stored HV has no direction that follows the labels")
    if where.kind in kinds:
        said += f"; where it is not 0 fits labels with {where.own:.2f}, and with {where.value:.2f} "
        said += f"moved{by} or turned"
    return [fault(said + ".", title=title, certainty=0.95 if where.kind in kinds else 0.9,
                  remedy=Remedy((f"Move (shift) it back{by}, or {AGAIN}" if by else "")
                                or AGAIN.capitalize()), **common)]  # fmt: skip


def _support(s: Stored) -> Any:
    """Compare where stored HV is not 0 with the labels."""
    size = np.abs(s.hv).max(0)
    area = band((size > 0.1 * s.top).astype(np.float32))
    if area.std() <= 0 or s.item.labels is None:
        return None
    return pair_of(s.item, area, band(s.item.labels > 0), count_nuclei(s.item.labels))


# --- types ----------------------------------------------------------------------------------

TYPED, MIXED = 0.2, 0.1
"""Share of nucleus pixels without a type, or as many outside with one, that is a fault (0 to 0.02
in health); and of nuclei of more than one type that is a warning."""
COUNTED = 0.05
"""Share of nuclei of type 0 as a whole from which classes were counted from 0."""


@dataclass(frozen=True, eq=False)
class TypeLook:
    """Types of one image."""

    item: Item
    inside: npt.NDArray[Any]  # (257,) nucleus pixels of each type; the last = out of range
    outside: npt.NDArray[Any]  # (257,) the same of the background
    nuclei: npt.NDArray[Any]  # (257,) nuclei by their most frequent type
    mixed: int  # Nuclei of more than one type


def _types_of(item: Item) -> TypeLook | None:
    types: Any = item.types
    if types is None:
        return None
    clipped = np.where((types < 0) | (types > 255), 256, types)
    labels = item.labels if item.labels is not None and item.labels.shape == types.shape else None
    known = labels > 0 if labels is not None else types > 0
    if labels is None and item.target_np is not None and item.target_np.shape == types.shape:
        known = item.target_np > 0
    nuclei, mixed = np.zeros(257, np.int64), 0
    if labels is not None and labels.any():
        ids, n = compact_ids(labels)
        table = np.zeros((n + 1, 257), np.int32)
        np.add.at(table, (ids.ravel(), clipped.ravel()), 1)
        table = table[1:][table[1:].any(1)]
        nuclei = np.bincount(table.argmax(1), minlength=257)
        mixed = int((table.max(1) < 0.9 * table.sum(1)).sum())
    inside, outside = (np.bincount(clipped[m], minlength=257) for m in (known, ~known))
    return TypeLook(item, inside, outside, nuclei, mixed)


@check("data.types", "Types of nuclei", needs=("types",), explains=("model.types", "loss.weights"))
def types(bench: Bench) -> Steps:
    """Say whether types are in range, start where they should, and go with the labels."""
    looks = yield from look_steps(bench, "Counting types", _types_of)
    inside, outside, nuclei = (sum((getattr(x, n) for x in looks), np.zeros(257, np.int64))
                               for n in ("inside", "outside", "nuclei"))  # fmt: skip
    total, n = int(inside.sum()), bench.case.n_types
    if not total:
        return skip("there are no nuclei with types")
    counted = nuclei if nuclei.sum() else inside
    zero, typed = float(inside[0] / total), float(outside[1:].sum() / total)
    whole, mixed = float(counted[0] / counted.sum()), sum(x.mixed for x in looks)
    there = np.flatnonzero(inside[:256])
    low, high = (int(there.min()), int(there.max())) if len(there) else (0, 0)
    common = {
        "value": float(high), "threshold": np.nan if n is None else n - 1.0, "unit": "type",
        "layers": ("image", "types"), "numbers": {"untyped": zero, "typed outside": typed},
        "places": [place_of(x.item) for x in looks[: bench.params.n_places]],
        "plot": Plot("bars", "Nuclei of each type", tuple(map(str, range(high + 1))),
                     (("nuclei", tuple(counted[: high + 1].astype(float).tolist())),), "type"),
    }  # fmt: skip
    told = _type_fault(inside, outside, whole, zero, typed, low, high, n)
    if told is not None:
        title, said, certainty, remedy = told
        yield fault(said, title=title, certainty=certainty, remedy=remedy, **common,
                    plain="The kinds of the nuclei are numbered in another way.")  # fmt: skip
    elif nuclei.sum() and mixed > MIXED * nuclei.sum():
        yield warn(f"{mixed / nuclei.sum():.0%} of the nuclei are of more than one type.",
                   title="Types and labels contradict each other", certainty=0.45, **common,
                   remedy=Remedy("Look at types and labels together: types may be moved or resized "
                                 "otherwise."))  # fmt: skip
    else:
        shares = ", ".join(f"{t} {counted[t] / counted[1:].sum():.0%}"
                           for t in range(1, high + 1) if counted[t])  # fmt: skip
        yield ok(f"Types of nuclei are {low} to {high}, background is 0: {shares}.", **common)


def _type_fault(  # noqa: PLR0913, PLR0917 - what was counted
    inside: npt.NDArray[Any], outside: npt.NDArray[Any], whole: float, zero: float, typed: float,
    low: int, high: int, n: int | None,
) -> tuple[Any, ...] | None:  # fmt: skip
    """Title, evidence, certainty and remedy of the first fault of types, None if there is none."""
    most, n_out = int(outside.argmax()) if outside.any() else 0, inside[256] + outside[256]
    off = 0 if n is None else high + 1 - n
    one_based = ("type_offset", -off) if low > off > 0 else ()
    wrong = max(zero, typed)
    # fmt: off
    kinds = (
        (n_out, "Types are out of range", f"{n_out} pixels have a type below 0 or above 255.", 0.95,
         Remedy("Write types as 0 (background), 1, 2 ...")),
        (most, f"Background has type {most}", f"Most background pixels have type {most}; "
         "background is 0. An argmax over masks gives the first class the number 0.", 0.96,
         Remedy("Renumber (subtract the offset): background 0, classes from 1 on.")),
        (off > 0, "Types are beyond their number", f"Types of nuclei go from {low} to {high}; the "
         f"last of {n} types (background included) is {high - off}.", 0.95, Remedy(
             f"Subtract {off} from the types, or give the right number of types (n_types).",
             *one_based)),
        (zero > 0.95, "No nucleus has a type", f"{zero:.0%} of the nucleus pixels are of type 0, "
         "which is background.", 0.94, Remedy("Look for the types: they were not read.")),
        (whole >= COUNTED and zero < 1.5 * whole + 0.02 and typed < COUNTED,
         "Classes are counted from 0: background has no number of its own",
         f"{whole:.0%} of the nuclei are of type 0 as a whole, which is background, and types go "
         f"up to {high}" + (f" of {n - 1}." if n else "."), 0.93, Remedy(
             "Say that class 0 is no background (types_background=False), or add 1 to the types "
             "inside nuclei.", "types_background", False)),
        (wrong >= TYPED, "Types and labels contradict each other", f"{zero:.0%} of the nucleus "
         f"pixels are of type 0, and {typed:.0%} as many outside have a type (both 0 in health).",
         scaled(wrong, TYPED, 0.6, 0.85, 0.93), Remedy(
             "Look at types and labels together: types may be moved or of another image.")),
    )
    # fmt: on
    return next((tuple(said) for holds, *said in kinds if holds), None)
