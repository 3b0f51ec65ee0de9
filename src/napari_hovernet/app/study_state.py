"""What the study of a run holds: frozen values."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.types import Int32, Nuclei

if TYPE_CHECKING:
    from ..core.blobs import BlobReport
    from ..core.compare import Comparison
    from ..core.magnitude import MagnitudeReport


@dataclass(frozen=True, eq=False)
class InstanceImage:
    """The instances of a run as they are now.

    Parameters
    ----------
    labels : int32 (H, W)
        0 = background; not to be changed.
    corrected : bool
        Whether they differ from what the separation made (brush corrections).
    """

    labels: Int32
    corrected: bool = False


@dataclass(frozen=True, eq=False)
class TruthChoice:
    """The labels a run is compared with.

    Parameters
    ----------
    key : hashable
        Tells one source from another: ("layer", id), ("file", path) or ("run", id).
    name : str
        For tables and messages.
    labels : int32 (H, W), optional
        Of the run's size, checked; None when they cannot be used.
    notes : tuple of str
        What was assumed or looks odd.
    error : str
        Why they cannot be used, "" if they can.
    """

    key: Hashable
    name: str
    labels: Int32 | None = None
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that follows from maps, instances and, if there is one, the truth.

    Parameters
    ----------
    nuclei : Nuclei
        One row per instance, of the labels as they are now.
    magnitude : MagnitudeReport
    blobs : BlobReport
    comparison : Comparison, optional
        None without a truth, or when the comparison failed.
    errors : tuple of str
        What could not be found out, and why.
    """

    nuclei: Nuclei
    magnitude: MagnitudeReport
    blobs: BlobReport
    comparison: Comparison | None = None
    errors: tuple[str, ...] = ()
