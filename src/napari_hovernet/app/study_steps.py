"""Find out everything about a run that follows from its maps; runs in a worker thread."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.params import SeparationParams
from ..core.types import Int32, Maps, Progress
from ..errors import UserError
from .study_state import Findings

if TYPE_CHECKING:
    from ..core.compare import Comparison
    from ..core.magnitude import MagnitudeBands
    from ..core.model import ModelInfo
    from ..core.types import Bool


@dataclass(frozen=True, eq=False)
class Case:
    """What is looked into.

    Parameters
    ----------
    maps : Maps
        Of the run.
    labels : int32 (H, W)
        Instances as they are now.
    info : ModelInfo
        For the names of types.
    separation : SeparationParams
        What the instances were cut with; the oracle of a comparison is cut alike.
    mask : bool (H, W), optional
        Mask of the separation.
    truth : int32 (H, W), optional
        Of the same size.
    bands : MagnitudeBands, optional
    """

    maps: Maps
    labels: Int32
    info: ModelInfo
    separation: SeparationParams
    mask: Bool | None = None
    truth: Int32 | None = None
    bands: MagnitudeBands | None = None


def finding_steps(case: Case) -> Generator[Progress, None, Findings]:
    """Measure nuclei, judge magnitude, look for blobs, compare with the truth.

    Yields
    ------
    Progress
        One before each of them.

    Returns
    -------
    Findings
    """
    from ..core.blobs import blob_report  # noqa: PLC0415 - on first use
    from ..core.magnitude import magnitude_report  # noqa: PLC0415
    from ..core.nuclei import measure  # noqa: PLC0415

    yield Progress(0, 4, "Measuring nuclei ...")
    nuclei = measure(case.labels, case.maps, type_names=case.info.types)
    yield Progress(1, 4, "Looking at the magnitude ...")
    magnitude = magnitude_report(case.maps, case.labels, case.bands)
    yield Progress(2, 4, "Looking for blobs ...")
    blobs = blob_report(case.maps, case.labels, mask=case.mask)
    yield Progress(3, 4, "Comparing ...")
    comparison, errors = _compared(case)
    return Findings(nuclei, magnitude, blobs, comparison, errors)


def _compared(case: Case) -> tuple[Comparison | None, tuple[str, ...]]:
    """Compare; a truth that cannot be used spoils nothing else."""
    if case.truth is None:
        return None, ()
    from ..core.compare import compare  # noqa: PLC0415 - on first use

    try:
        return compare(case.truth, case.labels, case.maps, case.separation), ()
    except UserError as error:
        return None, (str(error),)
