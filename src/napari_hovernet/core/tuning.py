"""What can be tuned without running the network again, and the counts to judge it by."""

from __future__ import annotations

from dataclasses import dataclass, field

from .hv_reading import HVReading, read_hv
from .params import SeparationParams
from .parts import label_parts
from .separation import separate
from .types import Maps, Separation


@dataclass(frozen=True)
class TuneParams:
    """How HV is read, and how instances are cut.

    Parameters
    ----------
    separation : SeparationParams
        Lengths and areas in pixels of the maps at hand.
    hv : HVReading
        Order, sign and scale of the HV channels.

    Examples
    --------
    >>> TuneParams().separation.method
    'local'
    """

    separation: SeparationParams = field(default_factory=SeparationParams)
    hv: HVReading = field(default_factory=HVReading)


@dataclass(frozen=True)
class StageCounts:
    """How many things there are after each stage of a separation.

    Parameters
    ----------
    components : int
        4-connected parts of the mask.
    markers : int
        Different markers (seeds).
    instances : int
        Nuclei in the end.
    """

    components: int
    markers: int
    instances: int


def tune(maps: Maps, params: TuneParams) -> Separation:
    """Separate maps with their HV read as the parameters say.

    Examples
    --------
    >>> import numpy
    >>> from napari_hovernet.core.hv import hv_targets
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> maps = Maps(np=labels > 0, hv=hv_targets(labels))
    >>> tune(maps, TuneParams()).n, tune(maps, TuneParams(hv=HVReading(order="vh"))).n
    (2, 1)
    """
    return separate(read_hv(maps, params.hv), params.separation)


def stage_counts(separation: Separation) -> StageCounts:
    """Count components, markers and instances of a finished separation.

    Examples
    --------
    >>> import numpy
    >>> empty = numpy.zeros((4, 4), numpy.int32)
    >>> stage_counts(Separation(empty > 0, empty.astype("f4"), empty, empty)).components
    0
    """
    markers = separation.markers
    return StageCounts(
        components=label_parts(separation.mask)[1],
        markers=int(markers.max()) if markers.size else 0,
        instances=separation.n,
    )
