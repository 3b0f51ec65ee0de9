"""How findings read: their groups, their numbers, what their layers are called. No Qt, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.diagnosis.report import Finding, Place

FAULT, WARN, OK, NOT_TESTED = "fault", "warn", "ok", "not tested"
"""Verdicts of :mod:`napari_hovernet.core.diagnosis.report`, which takes torch to import."""
SAID = {FAULT: "fault", WARN: "worth a look", OK: "in order", NOT_TESTED: "not tested"}
"""Verdicts as the user reads them."""
LAYER_NAMES = {
    "image": "image",
    "types": "types",
    "target_np": "stored NP",
    "np": "NP",
    "magnitude": "magnitude",
    "target_hv_x": "stored HV x",
    "target_hv_y": "stored HV y",
    "hv_x": "HV x",
    "hv_y": "HV y",
    "truth": "true nuclei",
    "instances": "nuclei",
}
"""Layers by role, lowest first."""
MAP_ROLES = ("np", "hv_x", "hv_y", "magnitude", "target_np", "target_hv_x", "target_hv_y")
"""Layers that cover what is beneath: one of them is shown at a time."""
USUAL = ("image", "instances")
"""What is shown for a finding that names no layers."""
REASON = "Not tested: "
"""How the evidence of a check that was not made begins."""
SHARE = "share"
"""How units begin that are shown in percent: "share", "share of images" ..."""
CHANGES = {
    "hv_order": "HV read as {}",
    "hv_sign": "HV read as pointing {}",
    "hv_scale": "HV multiplied by {}",
    "target_order": "stored HV read as {}",
    "target_sign": "stored HV read as pointing {}",
    "target_divisor": "stored HV divided by {}",
    "np_channel": "NP channel {} read",
    "np_activation": "NP read as {}",
    "np_threshold": "NP threshold {}",
    "channel_order": "images given as {}",
    "input_factor": "images multiplied by {}",
    "zoom": "images resized by {}",
    "token_prefix": "{} tokens before the first patch",
    "separation": "separation {}",
    "labels_turn": "labels turned by {}",
    "labels_shift": "labels moved by {} px",
    "maps_shift": "maps moved by {} px",
    "type_offset": "types moved by {}",
    "image_order": "images put in another order",
}
"""What applying a remedy changes, by its action."""


@dataclass(frozen=True)
class Groups:
    """Findings as the list shows them.

    Parameters
    ----------
    causes : tuple of (Finding, tuple of Finding)
        Each with what it explains, the most likely one first.
    passed : tuple of Finding
    not_tested : tuple of (str, tuple of Finding)
        What has to be given (or why else), and the checks that wait for it.
    """

    causes: tuple[tuple[Finding, tuple[Finding, ...]], ...]
    passed: tuple[Finding, ...]
    not_tested: tuple[tuple[str, tuple[Finding, ...]], ...]


def grouped(findings: Sequence[Finding]) -> Groups:
    """Put ranked findings into the groups of the list."""
    wrong = [f for f in findings if f.verdict in (FAULT, WARN)]
    here = {f.id for f in wrong}
    tops = [f for f in wrong if f.explained_by not in here or f.explained_by == f.id]
    below: dict[str, list[Finding]] = {f.id: [] for f in tops}
    for finding in wrong:
        if finding not in tops:
            below[_top(finding, wrong, below)].append(finding)
    reasons: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.verdict == NOT_TESTED:
            reasons.setdefault(reason(finding), []).append(finding)
    return Groups(
        tuple((f, tuple(below[f.id])) for f in tops),
        tuple(f for f in findings if f.verdict == OK),
        tuple((why, tuple(found)) for why, found in reasons.items()),
    )


def _top(finding: Finding, wrong: Sequence[Finding], below: Mapping[str, Any]) -> str:
    """Follow what explains a finding up to a line of its own."""
    by_id = {f.id: f for f in wrong}
    at, seen = finding.explained_by, {finding.id}
    while at not in below and at not in seen and by_id[at].explained_by in by_id:
        seen.add(at)
        at = by_id[at].explained_by
    return at if at in below else next(iter(below))


def headline(findings: Sequence[Finding], *, busy: bool = False) -> str:
    """Return what was found in one line.

    Parameters
    ----------
    findings : sequence of Finding
        Ranked.
    busy : bool
        Whether more may come.
    """
    tested = [f for f in findings if f.verdict != NOT_TESTED]
    causes = [f for f in tested if f.is_cause]
    if not tested:
        return "" if busy else "Nothing was tested."
    so_far = " so far" if busy else ""
    if not causes:
        return f"Nothing wrong was found in {len(tested)} checks{so_far}."
    more = f" ({len(causes) - 1} more to look at)" if len(causes) > 1 else ""
    likely = "Most likely cause" if causes[0].verdict == FAULT else "Worth a look"
    return f"{likely}{so_far}: {causes[0].title}{more}."


def reason(finding: Finding) -> str:
    """Return why a check was not made: "Give a model and true labels.".

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> reason(SimpleNamespace(evidence="Not tested: give a loss.", title=""))
    'Give a loss.'
    """
    text = finding.evidence.removeprefix(REASON).strip()
    return text[:1].upper() + text[1:]


def sureness(finding: Finding) -> str:
    """Return the certainty of a fault in percent, "" of anything else."""
    return f"{finding.certainty:.0%}" if finding.verdict in (FAULT, WARN) else ""


def subtitle(finding: Finding) -> str:
    """Return the line under a finding's title."""
    sure = f" · {sureness(finding)} sure" if sureness(finding) else ""
    return f"{SAID.get(finding.verdict, finding.verdict)}{sure} · {finding.id}"


def number(value: float) -> str:
    """Return a number in four digits at most; whole ones as they are.

    Examples
    --------
    >>> number(0.86123), number(1240.0), number(float("nan")), number(-0.00001)
    ('0.861', '1,240', '-', '-1e-05')
    """
    if not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.3g}"


def with_unit(value: float, unit: str) -> str:
    """Return a number with its unit; shares as percent.

    Examples
    --------
    >>> with_unit(0.861, "share of images"), with_unit(4.0, "px"), with_unit(0.5, "")
    ('86.1 % of images', '4 px', '0.5')
    """
    if unit.startswith(SHARE) and math.isfinite(value):
        return f"{100 * value:.3g} %{unit.removeprefix(SHARE)}"
    return f"{number(value)} {unit}".strip()


def measured(finding: Finding) -> str:
    """Return the number that decided, against the one from where on it is a fault."""
    if not math.isfinite(finding.value):
        return ""
    text = f"<b>{with_unit(finding.value, finding.unit)}</b>"
    if math.isfinite(finding.threshold):
        unit = SHARE if finding.unit.startswith(SHARE) else ""  # the rest stands there once
        text += f", threshold {with_unit(finding.threshold, unit)}"
    return text


def place_words(place: Place, number_of: int) -> str:
    """Return one line about an example, rows and columns in pixels of its image."""
    r0, r1, c0, c1 = place.box
    where = f"{place.name}, rows {r0}-{r1}, columns {c0}-{c1}"
    return f"{number_of}. {place.words} ({where})" if place.words else f"{number_of}. {where}"


def change_words(action: str, value: Any) -> str:
    """Say what a remedy changes.

    Examples
    --------
    >>> change_words("separation", {"preset": "local"}), change_words("maps_shift", (0, -56))
    ('separation local', 'maps moved by 0, -56 px')
    """
    if isinstance(value, Mapping):
        said = str(value["preset"]) if set(value) == {"preset"} else _pairs(value)
    elif isinstance(value, (list, tuple)):
        said = ", ".join(str(x) for x in value)
    else:
        said = number(value) if isinstance(value, float) else str(value)
    return CHANGES.get(action, f"{action} {{}}").format(said)


def _pairs(value: Mapping[str, Any]) -> str:
    return "with " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items())


def shown_roles(layers: Sequence[str], chosen: str = "") -> frozenset[str]:
    """Return which layers are switched on: of the maps one, the image beneath always.

    Parameters
    ----------
    layers : sequence of str
        What a finding wants looked at.
    chosen : str
        The map the user wants, "" = the first one.

    Examples
    --------
    >>> sorted(shown_roles(("hv_x", "hv_y", "truth")))
    ['hv_x', 'image', 'truth']
    """
    wanted = tuple(layers) or USUAL
    maps = [role for role in wanted if role in MAP_ROLES]
    first = chosen if chosen in maps else next(iter(maps), "")
    rest = [role for role in wanted if role not in MAP_ROLES]
    return frozenset({"image", *rest, *([first] if first else [])})


def same(one: Finding | None, other: Finding | None) -> bool:
    """Whether two findings say the same; ranking anew makes new objects of the old ones."""
    if one is None or other is None:
        return one is other
    told = [(f.id, f.verdict, f.title, f.evidence, f.certainty, f.remedy) for f in (one, other)]
    return told[0] == told[1] and one.plot is other.plot and one.places == other.places
