"""Put findings in order: what explains the others comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .report import FAULT, OK, VERDICTS, WARN, Finding

APART = "gain on generated nuclei"
"""Number of a finding on a separation: what is shown without the user's data and model."""
LOOKS = (
    "model.hv_direction",
    "model.hv_zero",
    "model.hv_noise",
    "model.hv_own_shape",
    "model.hv_outside",
    "model.np_activation",
    "model.np_empty",
    "model.score",
    "model.turns",
    "separation.components",
    "separation.over",
    "separation.threshold",
    "separation.under",
)
"""What looks wrong whenever predictions are wrong or are compared with the wrong thing."""
SIGNS_OF_ILLNESS = (
    *LOOKS,
    "model.activations",
    "model.batch_norm",
    "model.hv_collapsed",
    "model.hv_saturated",
    "model.hv_scale",
    "model.mpp",
    "model.normalisation",
    "model.tiles",
)
"""What looks wrong when the network is not what it should be, or sees what it should not."""
POOR_CUT = (
    "model.score",
    "separation.components",
    "separation.oracle",
    "separation.over",
    "separation.threshold",
    "separation.under",
)
"""What looks wrong whenever the cut is."""
OFF_THE_LABELS = (*LOOKS, "model.orientation", "model.shift", "model.hv_collapsed", "model.mpp")
"""What looks wrong when labels lie elsewhere, or are not instances."""

EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "data.files": ("model.failures",),
    "data.images": (
        *SIGNS_OF_ILLNESS, "model.input_range", "data.channel_order", "data.pairing",
        "data.duplicates",
    ),
    "data.empty": ("data.coverage", "model.*", "separation.*"),
    "data.channel_order": (*SIGNS_OF_ILLNESS, "model.channel_order"),
    "data.shift": (*OFF_THE_LABELS, "data.background", "data.np"),
    "data.flip": (*OFF_THE_LABELS, "data.shift", "data.background", "data.pairing"),
    "data.pairing": (*OFF_THE_LABELS, "data.shift", "data.flip", "data.background"),
    "data.background": (
        *OFF_THE_LABELS, "data.coverage", "data.components", "data.fragments", "data.masks",
        "data.touching", "data.shift", "model.np_channel",
    ),
    "data.coverage": (
        *OFF_THE_LABELS, "data.components", "data.fragments", "data.masks", "data.touching",
    ),
    "data.masks": (
        *LOOKS, "model.hv_collapsed", "model.mpp", "data.components", "data.fragments",
        "data.touching", "separation.oracle",
    ),
    "data.components": (
        *LOOKS, "model.hv_collapsed", "model.mpp", "data.touching", "data.fragments",
    ),
    "data.np": ("data.coverage", "data.type_conflict"),
    "data.types": ("data.type_conflict", "data.type_histogram", "model.types"),
    "data.type_conflict": ("data.type_histogram", "model.types"),
    "data.hv_labels": (
        "data.hv_scale", "data.hv_origin", "data.hv_resized", "data.hv_order", "data.hv_sign",
        "data.np",
    ),
    "data.hv_order": ("data.hv_labels", "data.hv_scale", "data.hv_origin", "data.hv_resized"),
    "data.hv_sign": ("data.hv_labels", "data.hv_scale", "data.hv_origin", "data.hv_resized"),
    "data.hv_divisor": ("data.hv_range", "data.hv_scale", "data.hv_labels"),
    "data.hv_scale": ("data.hv_origin", "data.hv_resized", "data.hv_range"),
    "data.hv_resized": ("data.hv_scale", "data.hv_origin"),
    "model.checkpoint": ("model.*", "separation.*"),
    "model.non_finite": (*SIGNS_OF_ILLNESS, "model.failures", "model.untrained"),
    "model.untrained": (
        *SIGNS_OF_ILLNESS, "model.channel_order", "model.input_range", "model.types",
    ),
    "model.input_range": (*SIGNS_OF_ILLNESS, "model.channel_order"),
    "model.channel_order": SIGNS_OF_ILLNESS,
    "model.mpp": (*LOOKS, "model.batch_norm", "model.normalisation", "model.hv_collapsed"),
    "model.activations": (*SIGNS_OF_ILLNESS, "model.input_range"),
    "model.batch_norm": (
        *LOOKS, "model.activations", "model.normalisation", "model.hv_collapsed", "model.mpp",
        "model.tiles",
    ),
    "model.normalisation": (*LOOKS, "model.batch_norm", "model.hv_scale"),
    "model.token_prefix": (*LOOKS, "model.shift", "model.hv_collapsed"),
    "model.np_channel": (*LOOKS, "model.shift", "model.mpp", "model.orientation"),
    "model.np_activation": (
        "model.np_empty", "model.score", "separation.threshold", "separation.under",
        "separation.over", "separation.components", "model.hv_own_shape",
    ),
    "model.hv_order": (*LOOKS, "model.hv_sign", "separation.turns"),
    "model.hv_sign": (*LOOKS, "separation.turns"),
    "model.hv_scale": ("model.hv_zero", "model.hv_saturated", "model.score"),
    "model.hv_collapsed": (*LOOKS, "model.batch_norm", "model.tiles"),
    "model.hv_saturated": ("model.hv_zero", "model.hv_noise", "model.hv_own_shape", *POOR_CUT),
    "model.hv_direction": (
        "model.hv_zero", "model.hv_noise", "model.hv_own_shape", "model.turns", "model.tiles",
        *POOR_CUT,
    ),
    "model.hv_own_shape": ("model.hv_direction", "model.hv_zero", "model.hv_noise", *POOR_CUT),
    "model.shift": (*LOOKS, "model.tiles"),
    "model.orientation": (*LOOKS, "model.shift", "model.tiles"),
    "model.tiles": (
        *(look for look in LOOKS if look != "model.hv_direction"), "model.mpp",
        "model.normalisation", "model.hv_scale",
    ),
    "separation.relabel": POOR_CUT,
    "separation.rim_seeds": (*POOR_CUT, "separation.tile", "separation.turns"),
    "separation.scale": (
        "model.score", "separation.components", "separation.oracle", "separation.threshold",
        "separation.under", "separation.turns",
    ),
    "separation.turns": POOR_CUT,
    "separation.tile": POOR_CUT,
    "separation.deterministic": (*POOR_CUT, "separation.tile", "separation.scale"),
    "separation.threshold": (
        "model.score", "separation.under", "separation.over", "separation.oracle",
    ),
    "separation.over": ("model.score", "separation.oracle"),
    "separation.under": ("model.score", "separation.oracle", "separation.components"),
    "separation.oracle": ("model.score",),
    "augmentation.labels": ("augmentation.hv", "augmentation.mean", "augmentation.types"),
    "augmentation.hv": ("augmentation.mean",),
    "loss.mask": ("loss.denominator",),
    "loss.direction": ("loss.minimum", "loss.share"),
    "loss.finite": ("loss.gradient_share", "loss.share", "loss.minimum"),
    "loss.gradient_share": ("loss.share",),
}  # fmt: skip
"""By the id of a cause: findings that it brings about, and that are then no causes of their own.

``*`` at the end stands for any ending. Only what may well be a mere consequence stands here; a
finding that proves a cause of its own is never explained away.
"""


def rank(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort findings: causes by certainty, then what they explain, then the rest.

    Parameters
    ----------
    findings : sequence of Finding
        In the order in which they were made.

    Returns
    -------
    tuple of Finding
        The same, with ``explained_by`` set where a cause explains another finding.

    Examples
    --------
    >>> a = Finding("data.empty", OK, "Empty images", "none")
    >>> b = Finding("data.coverage", FAULT, "Coverage", "86 %", certainty=0.9)
    >>> [f.id for f in rank([a, b])]
    ['data.coverage', 'data.empty']
    """
    causes = [f.id for f in findings if f.verdict == FAULT]
    told = [replace(f, explained_by=_cause_of(f, causes)) for f in findings]
    return tuple(sorted(told, key=_place))


def _cause_of(finding: Finding, causes: Sequence[str]) -> str:
    """Return the id of a fault that brings this finding about, "" if there is none."""
    if finding.verdict not in (FAULT, WARN):
        return ""
    for cause in causes:
        if cause != finding.id and _explains(cause, finding.id) and not _apart(finding, cause):
            mutual = finding.verdict == FAULT and _explains(finding.id, cause)
            if not mutual:
                return cause
    return ""


def _apart(finding: Finding, cause: str) -> bool:
    """Tell whether a separation is at fault whatever data and model are."""
    return APART in finding.numbers and not cause.startswith("separation.")


def _explains(cause: str, symptom: str) -> bool:
    return any(
        symptom.startswith(s[:-1]) if s.endswith("*") else s == symptom
        for s in EXPLAINS.get(cause, ())
    )


def _place(finding: Finding) -> tuple[int, int, float]:
    urgent = VERDICTS.index(finding.verdict)
    explained = int(bool(finding.explained_by))
    group = 0 if finding.verdict in (FAULT, WARN) else VERDICTS.index(OK)
    return (max(group, explained), urgent, -finding.certainty)
