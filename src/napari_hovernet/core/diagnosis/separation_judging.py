"""What a probe of a separation says: which of the known causes it is, if any."""

from __future__ import annotations

from collections.abc import Mapping

from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy
from .separation_limits import SeparationLimits
from .separation_probing import ALONE, EXTREME, Probe
from .separation_ways import OURS
from .separation_words import (
    BETTER,
    CONVENTIONS,
    LOCAL,
    PEAKS,
    Seen,
    aji_bars,
    certain,
    not_the_same,
    settings,
)

LOOK = ("instances", "np", "hv_x", "hv_y", "magnitude")


def is_bad(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether it fails on touching nuclei with exact maps."""
    return probe.aji < limits.bad_aji


def reads_otherwise(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether it fails, and works when HV is written in another convention."""
    best = (probe.ways or {}).get(probe.best_way, 0.0)
    return is_bad(probe, limits) and _cures(best, probe, limits)


def wants_other_length(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether it fails, and works when HV is longer or shorter."""
    best = (probe.factors or {}).get(probe.best_factor, 0.0)
    return is_bad(probe, limits) and _cures(best, probe, limits)


def seeds_on_rims(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether it fails, looks at length alone, and works with HV long in the centre."""
    length_alone = probe.way_spread <= limits.spread
    return is_bad(probe, limits) and length_alone and _cures(probe.inside_out, probe, limits)


def merges(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether all that touches is one, whatever HV says."""
    if probe.params is not None and not probe.params.merge_touching:
        return False
    known = reads_otherwise(probe, limits) or wants_other_length(probe, limits)
    as_components = probe.components >= limits.same_aji
    return (
        is_bad(probe, limits) and as_components and not known and not seeds_on_rims(probe, limits)
    )


def has_own_cause(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether one of the causes above is at work, or instances lie where no nuclei are."""
    causes = (reads_otherwise, wants_other_length, seeds_on_rims, merges)
    return probe.mask.elsewhere or any(cause(probe, limits) for cause in causes)


def _cures(aji: float, probe: Probe, limits: SeparationLimits) -> bool:
    return aji >= limits.good_aji and aji - probe.aji >= limits.gap


def loses_beside_others(probe: Probe, limits: SeparationLimits) -> bool:
    """Whether nuclei come out well alone, and clearly worse beside others."""
    tiles = probe.tiles or {ALONE: 0.0}
    usual = min(aji for name, aji in tiles.items() if name != EXTREME)
    return tiles[ALONE] >= limits.good_aji and tiles[ALONE] - usual >= limits.drop


def deterministic(probe: Probe) -> Finding:
    """Judge whether the same maps give the same instances, and maps without nuclei none."""
    id_, title = "separation.deterministic", "Same maps, same instances"
    remedy = Remedy(f"Mend the separation, or {BETTER}.", *LOCAL)
    if probe.error:
        return Finding(
            id_, FAULT, "The separation fails",
            f"On {_crowd(probe)} with exact maps: {probe.error}",
            certainty=0.97, remedy=remedy,
        )  # fmt: skip
    if not_the_same(probe):
        return Finding(
            id_, FAULT, "The separation is not deterministic",
            f"Cut twice, the same maps gave instances that agree by an AJI of {probe.repeat:.3f}; "
            "of the same maps it is 1.",
            probe.repeat, 1.0, "AJI", 0.96,
            Remedy(f"Fix the seed of what is drawn, or {BETTER}.", *LOCAL),
            layers=("instances",),
        )  # fmt: skip
    if probe.empty_error:
        return Finding(
            id_, FAULT, "The separation fails on images without nuclei",
            f"On maps that are 0 everywhere: {probe.empty_error}",
            certainty=0.85,
            remedy=Remedy(f"Return zeros where there is no nucleus, or {BETTER}.", *LOCAL),
        )  # fmt: skip
    if probe.empty_found:
        return Finding(
            id_, FAULT, "The separation finds nuclei where there are none",
            f"It finds {probe.empty_found} on maps that are 0 everywhere.",
            probe.empty_found, 1, "nuclei", 0.85, remedy,
        )  # fmt: skip
    return Finding(
        id_, OK, title,
        "Cut twice, the same maps gave the same instances; maps without nuclei gave none.",
        probe.repeat, 1.0, "AJI",
    )  # fmt: skip


def relabel(probe: Probe, limits: SeparationLimits, seen: Seen) -> Finding:
    """Judge whether touching nuclei that were cut are merged again."""
    id_, title = "separation.relabel", "Instances against connected components"
    numbers = {
        "AJI with exact maps": probe.aji,
        "AJI to its connected components": probe.components,
    }
    if not merges(probe, limits):
        words = (
            f"{_crowd(probe)} with exact maps come out with an AJI of {probe.aji:.2f}; their "
            "connected components would have 0.29."
        )
        if is_bad(probe, limits):
            words += " Something else than merging is the reason."
        return Finding(
            id_, OK, title, words, probe.aji, limits.bad_aji, "AJI", numbers=numbers
        )  # fmt: skip
    known = probe.params is not None
    found = (probe.exact or {})["clusters"]
    why = (
        "merge_touching is set: the union of all instances is labelled anew at the end"
        if known
        else "either the union of the instances is labelled anew after the cut, as in "
        "label(instances > 0), or HV is not used"
    )
    if not known and not probe.sees_hv:
        why += "; without HV it gives the very same"
    return Finding(
        id_, FAULT, "Touching nuclei are merged again after the cut",
        f"{_crowd(probe)} with exact maps come out as {found.n_pred} instances, the connected "
        f"components of the mask (AJI {probe.aji:.3f}): {why}. A separation in order gives 0.94 "
        "to 1.",
        probe.aji, limits.bad_aji, "AJI", 0.99 if known else 0.97,
        Remedy(f"Leave out the line that labels the result anew, or {BETTER}.", *LOCAL),
        numbers, ("instances", "truth", "np"), seen.merged, aji_bars(probe, limits.bad_aji),
    )  # fmt: skip


def rim_seeds(probe: Probe, limits: SeparationLimits, seen: Seen) -> Finding:
    """Judge whether seeds lie where HV is long: on the rims."""
    id_ = "separation.rim_seeds"
    numbers = {
        "pieces per single nucleus": probe.pieces,
        "AJI with exact maps": probe.aji,
        "AJI with HV long in the centre": probe.inside_out,
    }
    if not seeds_on_rims(probe, limits):
        return Finding(
            id_, OK, "Seeds in the centres",
            f"A nucleus that stands alone comes out in {probe.pieces:.1f} pieces, and the way HV "
            "points matters more than its length.",
            probe.pieces, limits.pieces, "pieces", numbers=numbers,
        )  # fmt: skip
    method = probe.params.method if probe.params is not None else ""
    return Finding(
        id_, FAULT, "Seeds lie on the rims of nuclei",
        f"{_crowd(probe)} with exact maps reach an AJI of {probe.aji:.2f}, in {probe.pieces:.1f} "
        f"pieces per single nucleus. With HV made long in the centre and short on the rim it is "
        f"{probe.inside_out:.2f}, and no turn of HV changes it: seeds are where |HV| is large, "
        "which is the rim.",
        probe.aji, limits.bad_aji, "AJI", 0.99 if method == PEAKS else 0.97,
        Remedy(
            f"Take seeds where HV turns round (|HV| near 0, strongest divergence), or {BETTER}.",
            *LOCAL,
        ),
        numbers, ("instances", "magnitude"), seen.split, aji_bars(probe, limits.bad_aji),
    )  # fmt: skip


def scale(probe: Probe, limits: SeparationLimits) -> Finding:
    """Judge whether the cut changes when HV is longer or shorter."""
    id_ = "separation.scale"
    factors = dict(probe.factors or {})
    numbers = {f"AJI with HV x {factor:g}": aji for factor, aji in factors.items()}
    plot = Plot(
        "lines", "AJI by the length of HV", tuple(factors), (("AJI", tuple(factors.values())),),
        "HV times", "AJI",
    )  # fmt: skip
    remedy = Remedy(
        "Stretch HV (or its gradient) to a range of its own before it meets a threshold, or "
        f"{BETTER}.",
        *LOCAL,
    )
    if wants_other_length(probe, limits):
        best = probe.best_factor
        return Finding(
            id_, FAULT, f"The separation wants HV of {best:g} times the length",
            f"{_crowd(probe)} come out with an AJI of {probe.aji:.2f}, and of {factors[best]:.2f} "
            f"with HV x {best:g}: a threshold on |HV| or on its gradient is absolute.",
            factors[best] - probe.aji, limits.gap, "AJI", 0.96, remedy, numbers, LOOK, plot=plot,
        )  # fmt: skip
    lost = _lost_by_length(probe, limits)
    if is_bad(probe, limits) or not lost:
        words = (
            "It fails at every length of HV, so length is not the reason."
            if is_bad(probe, limits)
            else f"From HV x {min(factors):g} to x {max(factors):g} the AJI is "
            f"{min(factors.values()):.2f} to {max(factors.values()):.2f}."
        )
        most = max((probe.aji - aji for aji in factors.values()), default=0.0)
        return Finding(
            id_, OK, "Length of HV", words, most, limits.drop, "AJI", numbers=numbers, plot=plot
        )  # fmt: skip
    usual = [f for f in lost if limits.small_factor <= f <= 1 / limits.small_factor]
    short = [f for f in lost if f < 1]
    verdict, certainty = (FAULT, 0.9) if usual else (FAULT, 0.8) if short else (WARN, 0.3)
    worst = min(usual or short or list(lost), key=lambda f: factors[f])
    return Finding(
        id_, verdict, "The cut depends on the length of HV",
        f"{_crowd(probe)} come out with an AJI of {probe.aji:.2f}, and of {factors[worst]:.2f} "
        f"with HV x {worst:g}, which points the same way: a threshold on |HV| or on its gradient "
        "is absolute.",
        lost[worst], limits.drop, "AJI", certainty, remedy, numbers, LOOK, plot=plot,
    )  # fmt: skip


def _lost_by_length(probe: Probe, limits: SeparationLimits) -> dict[float, float]:
    """AJI lost, by factor of HV, where it is more than may be.

    Where every other length comes out alike, it was the exact numbers of this one that
    helped (ties of exact maps), and not its length.
    """
    factors = probe.factors or {}
    others = [aji for factor, aji in factors.items() if factor != 1.0]
    if others and max(others) - min(others) <= limits.spread:
        return {}
    return {f: probe.aji - aji for f, aji in factors.items() if aji < probe.aji - limits.drop}


def turns(probe: Probe, limits: SeparationLimits, given: str, measured: bool) -> Finding:
    """Judge whether the separation reads HV in the convention in which it gets it.

    Parameters
    ----------
    probe : Probe
    limits : SeparationLimits
    given : str
        Convention of the maps that it gets, a name of :data:`.separation_ways.WAYS`.
    measured : bool
        Whether that was measured, or is but said.
    """
    id_, title = "separation.turns", "Order and sign of HV that the separation reads"
    ways = dict(probe.ways or {})
    numbers = {f"AJI with {name}": aji for name, aji in ways.items()}
    plot = Plot("bars", "AJI by how HV is written", tuple(ways), (("AJI", tuple(ways.values())),))
    reads = probe.best_way if reads_otherwise(probe, limits) else OURS
    aji = ways.get(reads, probe.aji)
    if reads in {OURS, given}:
        words = (
            f"With exact maps, HV {CONVENTIONS[reads]}, touching nuclei come apart (AJI {aji:.2f})."
        )
        if reads != OURS:
            words += " The maps that it gets are written so, too."
        elif is_bad(probe, limits):
            words = f"It works with no order and sign of HV (AJI {max(ways.values()):.2f} at best)."
        elif probe.way_spread <= limits.spread:
            words = f"It works whatever way HV points (AJI {aji:.2f}): it does not look at it."
        return Finding(
            id_, OK, title, words, aji, limits.good_aji, "AJI", numbers=numbers, plot=plot
        )  # fmt: skip
    said = "the maps here are" if measured else "maps are"
    return Finding(
        id_, FAULT, f"The separation reads HV {CONVENTIONS[reads]}",
        f"With HV so it reaches an AJI of {aji:.2f}, with HV {CONVENTIONS[OURS]} "
        f"{probe.aji:.2f}; {said} written {CONVENTIONS[given]}.",
        aji - probe.aji, limits.gap, "AJI", 0.96, _turn_remedy(reads, given), numbers, LOOK,
        plot=plot,
    )  # fmt: skip


def _turn_remedy(reads: str, given: str) -> Remedy:
    """Say how to bring together what is read and what is given; one field if one is enough."""
    text = f"Hand HV to the separation {CONVENTIONS[reads]}, or {BETTER}."
    first, second = reads.split(" ", 1), given.split(" ", 1)
    plain = {"outward", "inward"}
    if {first[1], second[1]} <= plain and "," not in reads + given:
        if first[1] == second[1]:
            return Remedy(text, "hv_order", first[0])
        if first[0] == second[0]:
            return Remedy(text, "hv_sign", first[1])
    return Remedy(text, *LOCAL)


def tile(probe: Probe, limits: SeparationLimits, mend: Mapping[str, object] | None) -> Finding:
    """Judge whether nuclei come out otherwise when other nuclei lie beside them.

    Parameters
    ----------
    probe : Probe
    limits : SeparationLimits
    mend : mapping, optional
        Fields of the parameters that mend it, None if none is known.
    """
    id_, title = "separation.tile", "What else is in the tile"
    tiles = dict(probe.tiles or {})
    numbers = {f"AJI {name}": aji for name, aji in tiles.items()}
    plot = Plot("bars", "AJI of the same nuclei", tuple(tiles), (("AJI", tuple(tiles.values())),))
    alone = tiles.get(ALONE, 0.0)
    if alone < limits.good_aji:
        words = f"Not tested: alone the nuclei come out badly, too (AJI {alone:.2f})."
        return Finding(id_, NOT_TESTED, title, words, numbers=numbers, plot=plot)
    usual = {name: aji for name, aji in tiles.items() if name != EXTREME}
    worst = min(usual, key=lambda name: usual[name])
    lost = alone - usual[worst]
    if loses_beside_others(probe, limits):
        return Finding(
            id_, FAULT, "The cut depends on what else is in the tile",
            f"The same nuclei with the same maps have an AJI of {alone:.2f} alone and of "
            f"{usual[worst]:.2f} {worst}: something is stretched by the largest value of the tile.",
            lost, limits.drop, "AJI", certain(0.85, 0.93, lost),
            Remedy(
                f"Set {settings(mend)}."
                if mend
                else f"Stretch HV by what is near, not by the whole tile, or {BETTER}.",
                "separation", dict(mend) if mend else LOCAL[1],
            ),
            numbers, LOOK, plot=plot,
        )  # fmt: skip
    words = f"Other nuclei beside them leave the AJI at {min(usual.values()):.2f} or above."
    if alone - tiles[EXTREME] >= limits.drop:
        words += (
            f" {EXTREME.capitalize()} it falls to {tiles[EXTREME]:.2f}, as with the published "
            "separation, which stretches HV over the whole tile."
        )
    return Finding(id_, OK, title, words, lost, limits.drop, "AJI", numbers=numbers, plot=plot)


def _crowd(probe: Probe) -> str:
    return f"60 touching nuclei of radius {probe.radius:.0f} px"
