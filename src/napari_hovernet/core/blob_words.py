"""Why a component is suspected, in words that say where to look next."""

from __future__ import annotations

import math

from .blob_types import STATUSES, BlobParams, BlobReport, BlobRow, counted
from .magnitude_bands import MagnitudeBands

ENLARGED = 1.25
"""Area in units of one nucleus from which the area is worth a word."""
DENTED = 0.05
"""Loss of solidity from which it is worth a word."""


def explain(
    row: BlobRow, params: BlobParams | None = None, bands: MagnitudeBands | None = None
) -> str:
    """Say what speaks for several nuclei, and what HV says of it.

    Parameters
    ----------
    row : BlobRow
        Of a report made with ``params``.
    params : BlobParams, optional
        Default ``BlobParams()``.
    bands : MagnitudeBands, optional
        From where on HV on the rim is called collapsed or healthy; default
        ``MagnitudeBands()``.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hovernet.core.blobs import blob_report
    >>> explain(blob_report(None, np.ones((8, 8), int)).rows[0])
    '1 nucleus, not suspected.'
    """
    params = params or BlobParams()
    if row.status == STATUSES[0]:
        return "In the mask, but without a nucleus: the separation has dropped it."
    nuclei = counted(row.n_instances, "nucleus", "nuclei")
    if not row.suspected:
        return f"{nuclei}, not suspected."
    clues = "; ".join(_clues(row, params))
    found = f"{nuclei}, looks like {row.expected:,}. Nucleus {row.worst}: {clues}."
    said = _what_hv_says(row, params, bands or MagnitudeBands())
    return f"{found} {said}".strip()


def _clues(row: BlobRow, params: BlobParams) -> list[str]:
    clues = []
    if row.worst_area_ratio >= ENLARGED:
        clues.append(f"{row.worst_area_ratio:.1f} times the area of one nucleus")
    if row.worst_solidity <= 1 - DENTED:
        clues.append(f"solidity {row.worst_solidity:.2f}")
    if row.worst_cores > 1:
        clues.append(f"{row.worst_cores} pieces joined by narrow necks")
    if _turns_back(row, params):
        clues.append(f"HV turns back inside it along {row.worst_seam:.1f} nucleus widths")
    return clues or [f"{row.score:.1f} points, {params.threshold:g} are suspicious"]


def _turns_back(row: BlobRow, params: BlobParams) -> bool:
    """Whether HV turns back along a length that counts for something."""
    return row.worst_seam >= params.seam_share / 2


def _what_hv_says(row: BlobRow, params: BlobParams, bands: MagnitudeBands) -> str:
    rim = row.rim_magnitude
    if math.isnan(rim):
        return ""
    if _turns_back(row, params):
        return (
            f"HV is {rim:.2f} on its rim and turns back inside: the network saw the border. "
            "Look at the separation."
        )
    if rim < bands.collapsed:
        return (
            f"HV is {rim:.2f} on its rim, where it should be about 1: the network shows no "
            "border, and no parameter of the separation will."
        )
    if rim >= bands.healthy:
        return (
            f"HV is {rim:.2f} on its rim and does not turn back inside: to the network it is "
            "one nucleus, and it may be."
        )
    return f"HV is weak on its rim ({rim:.2f} where it should be about 1)."


def explain_report(report: BlobReport) -> str:
    """Say how the image was measured: one nucleus, and what the count leaves open.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hovernet.core.blobs import blob_report
    >>> explain_report(blob_report(None, np.ones((8, 8), int)))
    'One nucleus is taken to have 64 px.'
    """
    if not report.n_instances:
        return ""
    said = f"One nucleus is taken to have {report.median_area:,.0f} px."
    if report.n_scattered:
        lie = "lies" if report.n_scattered == 1 else "lie"
        nuclei = counted(report.n_scattered, "id", "ids")
        said += f" {nuclei} {lie} on several parts that do not touch."
    return said
