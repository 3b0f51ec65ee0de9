"""What the case's own nuclei and what-ifs say about a separation."""

from __future__ import annotations

import math

from .ranking import APART
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Place, Plot, Remedy
from .separation_judging import is_bad
from .separation_limits import SeparationLimits
from .separation_masks import FITS
from .separation_own import Oracle, Parts
from .separation_probing import Probe
from .separation_tuning import Choice, is_fault
from .separation_words import BETTER, COMPONENTS_AJI, LOCAL, aji_bars, certain, settings

LOOK = ("instances", "truth", "np", "hv_x", "hv_y")
TITLES = {
    "over": "Over-segmentation",
    "under": "Under-segmentation",
    "threshold": "NP threshold of the separation",
}
WRONG = {
    "over": "The separation breaks nuclei up",
    "under": "The separation merges or loses nuclei",
    "threshold": "The NP threshold is far off",
}
BYTE = 256
SCENES = "generated nuclei (soft maps)"


def oracle(probe: Probe, own: Oracle | None, limits: SeparationLimits, *, known: bool) -> Finding:
    """Judge what the separation makes of exact maps, which is the most that it can reach.

    Parameters
    ----------
    probe : Probe
    own : Oracle, optional
        Of the case's labels.
    limits : SeparationLimits
    known : bool
        Whether another finding names the cause.
    """
    id_ = "separation.oracle"
    special = None if known and not probe.mask.elsewhere else _special(probe, limits)
    if special is not None:
        return special
    numbers = {f"AJI of generated {n}": s.aji for n, s in (probe.exact or {}).items()}
    words = (
        f"With exact maps, 60 touching generated nuclei have an AJI of {probe.aji:.3f} "
        f"({COMPONENTS_AJI} as connected components)"
    )
    lost, low = 0.0, probe.aji
    if own is not None:
        numbers |= {"AJI of the true labels": own.own, "of their components": own.components}
        numbers |= {f"of {name}": aji for name, aji in own.healthy.items()}
        lost = min(own.healthy.values()) - own.own
        low = min(low, own.own) if own.n_true >= limits.min_nuclei else low
        words += f", the {own.n_true} true nuclei here one of {own.own:.3f}"
        words += f" ({', '.join(f'{name} {aji:.3f}' for name, aji in own.healthy.items())})"
    worse = own is not None and own.n_true >= limits.min_nuclei and lost >= limits.oracle_margin
    plot = aji_bars(probe, limits.good_aji)
    if not is_bad(probe, limits) and not worse:
        return Finding(
            id_, OK, "Exact maps through the separation", words + ".", low, limits.good_aji,
            "AJI", numbers=numbers, plot=plot,
        )  # fmt: skip
    return Finding(
        id_, FAULT, "Even exact maps come out badly",
        words + ". No network can do better than that; the separation is at fault.",
        low, limits.good_aji, "AJI", 0.6 if known else certain(0.75, 0.85, max(lost, 0)),
        Remedy(f"Mend the separation first: {BETTER}.", *LOCAL), numbers,
        ("truth", "target_hv_x", "target_hv_y"), () if own is None else own.places, plot,
    )  # fmt: skip


def _special(probe: Probe, limits: SeparationLimits) -> Finding | None:
    """Say what is wrong with where instances lie, or how they are numbered; None if nothing is."""
    id_, words, mask = "separation.oracle", probe.mask.words, probe.mask
    remedy = Remedy(f"Mend the separation, or {BETTER}.", *LOCAL)
    there, ids = probe.ids
    crowd = (probe.exact or {}).get("clusters")
    whole = crowd is not None and crowd.too_few <= limits.share * crowd.n_true
    if mask.elsewhere or (words and whole):
        titles = {
            "background": "The separation takes the background for nuclei",
            "everywhere": "The separation finds nuclei everywhere, background included",
            "too small": "The separation makes nuclei too small",
            "too large": "The separation makes nuclei too large",
        }
        return Finding(
            id_, FAULT, titles.get(words, f"What the separation returns is {words}"),
            f"With exact maps its instances overlap the nuclei by an IoU of {mask.iou:.2f} and "
            f"cover {mask.cover:.0%} of their pixels; IoU with the background {mask.inverse:.2f}, "
            f"once moved back {mask.shifted:.2f}, once turned back {mask.turned:.2f}.",
            mask.iou, FITS, "IoU", 0.95 if mask.elsewhere else 0.85, remedy,
            {"IoU": mask.iou, "share of pixels": mask.cover}, LOOK,
        )  # fmt: skip
    if there > BYTE >= ids:
        return Finding(
            id_, FAULT, "The separation runs out of ids",
            f"{there} nuclei that stand alone are there and have {ids} ids: a label image of 8 "
            f"bits can hold {BYTE - 1}, after which nuclei share an id.",
            ids, there, "ids", 0.95,
            Remedy(f"Return int32 labels, or {BETTER}.", *LOCAL), {"nuclei": there, "ids": ids},
            ("instances",),
        )  # fmt: skip
    return None


def components(parts: Parts | None, why_not: str, limits: SeparationLimits) -> Finding:
    """Judge whether predicted instances are but the connected components of their mask.

    Parameters
    ----------
    parts : Parts, optional
    why_not : str
        Why there are none.
    limits : SeparationLimits
    """
    id_, title = "separation.components", "Predicted instances against connected components"
    if parts is None:
        return Finding(id_, NOT_TESTED, title, f"Not tested: {why_not}.")
    numbers = {
        "instances": parts.n_found,
        "connected components": parts.n_parts,
        "instances by our separation": parts.n_local,
        "AJI to connected components": parts.agreement,
        "AJI": parts.aji,
        "AJI by our separation": parts.local_aji,
    }
    plot = Plot(
        "bars", "What comes out", ("instances", "components", "our separation"),
        (("number", (float(parts.n_found), float(parts.n_parts), float(parts.n_local))),),
    )  # fmt: skip
    same = parts.agreement >= limits.same_aji
    more = parts.n_local >= limits.touching_gain * max(parts.n_parts, 1)
    if parts.n_touching < limits.min_touching:
        words = f"Not tested: {parts.n_touching} nuclei touch another one, too few to tell."
        return Finding(id_, NOT_TESTED, title, words, numbers=numbers)
    told = f"{parts.n_found} instances, {parts.n_parts} connected components"
    if parts.n_local:
        told += f"; our separation finds {parts.n_local} in the same maps"
    if not math.isnan(parts.aji):
        told += f". AJI {parts.aji:.2f}"
        told += (
            "" if math.isnan(parts.local_aji) else f", with our separation {parts.local_aji:.2f}"
        )
    gain = parts.local_aji - parts.aji
    helps = math.isnan(gain) or gain >= limits.map_gain
    if not same or (parts.n_local and not (more and helps)):
        return Finding(
            id_, OK, title, told + ".", parts.agreement, limits.same_aji, "AJI",
            numbers=numbers, plot=plot,
        )  # fmt: skip
    return Finding(
        id_, FAULT, "Touching nuclei are not cut: instances are connected components",
        told + f". {parts.n_touching} nuclei touch another one, and no two were cut apart.",
        parts.agreement, limits.same_aji, "AJI",
        certain(0.75, 0.9, 0.0 if math.isnan(gain) else gain),
        Remedy(f"Do not label the mask anew; {BETTER}.", *LOCAL),
        numbers, LOOK, parts.merged, plot,
    )  # fmt: skip


def tuned(
    kind: str, choice: Choice | None, probe: Probe, places: tuple[Place, ...],
    limits: SeparationLimits,
) -> Finding:  # fmt: skip
    """Judge over- or under-segmentation, or the NP threshold, by what another value would do.

    Parameters
    ----------
    kind : {"over", "under", "threshold"}
    choice : Choice, optional
        What helps most, None if nothing does.
    probe : Probe
    places : tuple of Place
    limits : SeparationLimits
    """
    id_ = f"separation.{kind}"
    if choice is None or choice.kind != kind:
        return _in_order(id_, kind, probe, limits)
    before, after = _gains(choice)
    fault = is_fault(choice, limits)
    value = dict(choice.trial.changes)
    if "scales" in value:
        value["scales"] = list(value["scales"])
    words = (
        f"With {settings(value).replace(' to ', ' = ')} the AJI rises {after}; as it is, {before}."
    )
    if not fault and not choice.own_value:
        words += (
            " Generated nuclei come out well as it is, so that this may make up for something else."
        )
    band = (0.85, 0.97) if fault else (0.25, 0.4)
    numbers = _numbers(choice)
    if fault and choice.scene_gain >= limits.scene_gain:
        numbers[APART] = choice.scene_gain
    remedy = Remedy(f"Set {settings(value)}.", "separation", value)
    if choice.field == "np_threshold":
        remedy = Remedy(f"Set {settings(value)}.", "np_threshold", value["np_threshold"])
    return Finding(
        id_, FAULT if fault else WARN, WRONG[kind], words, choice.gain,
        limits.scene_gain if choice.scene_gain >= limits.scene_gain else limits.map_fault,
        "AJI", certain(*band, choice.gain), remedy, numbers, LOOK, places,
        _gain_plot(choice),
    )  # fmt: skip


def _in_order(id_: str, kind: str, probe: Probe, limits: SeparationLimits) -> Finding:
    made = tuple((probe.soft or {}).values())
    n = sum(s.n_true for s in made)
    few, many = sum(s.too_few for s in made), sum(s.too_many for s in made)
    words = {
        "over": f"Of {n} {SCENES} {sum(s.split for s in made)} come out in pieces, "
        f"{many - sum(s.split for s in made)} instances are spurious.",
        "under": f"Of {n} {SCENES} {few} are merged or lost.",
        "threshold": f"Nuclei are found from an NP of {probe.threshold:g} on.",
    }[kind]
    if probe.params is not None:
        words += " No other value of a parameter would do clearly better."
    value = {"over": many / max(n, 1), "under": few / max(n, 1), "threshold": probe.threshold}
    return Finding(id_, OK, TITLES[kind], words, value[kind], unit="share")


def _gains(choice: Choice) -> tuple[str, str]:
    """Say the AJI as it is, and by how much it would be better."""
    before = [f"{choice.base.scenes.aji:.2f} on {SCENES}"]
    after = [f"to {choice.trial.scenes.aji:.2f} on {SCENES}"]
    if choice.base.case is not None and choice.trial.case is not None:
        base, better = choice.base.case, choice.trial.case
        before.append(
            f"{base.aji:.2f} here, where {base.too_few:.0%} of {base.n_true} nuclei are merged or "
            f"lost and {base.too_many:.0%} split or spurious"
        )
        after.append(f"to {better.aji:.2f} here")
    return " and ".join(before), " and ".join(after)


def _numbers(choice: Choice) -> dict[str, float]:
    made = {
        "AJI of generated nuclei": choice.base.scenes.aji,
        "AJI of generated nuclei, changed": choice.trial.scenes.aji,
    }
    if choice.base.case is not None and choice.trial.case is not None:
        made["AJI here"] = choice.base.case.aji
        made["AJI here, changed"] = choice.trial.case.aji
    return made


def _gain_plot(choice: Choice) -> Plot:
    numbers = _numbers(choice)
    return Plot(
        "bars", "AJI as it is, and changed", tuple(numbers), (("AJI", tuple(numbers.values())),)
    )


def unknown(kind: str, probe: Probe, reference: float, limits: SeparationLimits) -> Finding:
    """Judge a function of the user's own, of which no parameter is known.

    Parameters
    ----------
    kind : {"over", "under", "threshold"}
    probe : Probe
    reference : float
        AJI of our default on the same generated nuclei with soft maps.
    limits : SeparationLimits
    """
    id_ = f"separation.{kind}"
    if kind == "threshold":
        return _threshold(probe, limits)
    made = tuple((probe.soft or {}).values())
    few, many = sum(s.too_few for s in made), sum(s.too_many for s in made)
    lost = reference - probe.soft_aji
    mine = "over" if many > few else "under"
    n = sum(s.n_true for s in made)
    share = max(few, many) / max(n, 1)
    if mine != kind or lost < limits.oracle_margin or share < limits.share:
        return _in_order(id_, kind, probe, limits)
    what = "split or spurious" if kind == "over" else "merged or lost"
    return Finding(
        id_, FAULT, WRONG[kind],
        f"Of {n} {SCENES} {share:.0%} are {what} (AJI {probe.soft_aji:.2f}; our separation "
        f"reaches {reference:.2f}).",
        share, unit="share", certainty=certain(0.75, 0.9, lost),
        remedy=Remedy(f"Make it less ready to {'cut' if kind == 'over' else 'merge'}, or {BETTER}.",
                      *LOCAL),
        layers=LOOK, plot=aji_bars(probe, limits.good_aji),
    )  # fmt: skip


def _threshold(probe: Probe, limits: SeparationLimits) -> Finding:
    id_ = "separation.threshold"
    low, high = limits.threshold_low, limits.threshold_high
    if math.isnan(probe.threshold):
        words = "Not tested: single nuclei are not found as one piece at any NP."
        return Finding(id_, NOT_TESTED, TITLES["threshold"], words)
    if low <= probe.threshold <= high:
        return _in_order(id_, "threshold", probe, limits)
    bound = low if probe.threshold < low else high
    return Finding(
        id_, FAULT, WRONG["threshold"],
        f"A nucleus is found from an NP of {probe.threshold:g} on; usual is about 0.5. NP of a "
        "network in order is below that on rims and above it inside.",
        probe.threshold, bound, "probability",
        certain(0.85, 0.93, abs(probe.threshold - bound)),
        Remedy(f"Threshold NP at about 0.5, or {BETTER}.", *LOCAL), layers=("np", "instances"),
    )  # fmt: skip
