"""From NP and HV maps to instances, with every stage kept."""

from __future__ import annotations

import numpy as np

from ..params import SeparationParams
from ..types import Maps, Separation
from .local import separate_local
from .published import merged, separate_hover_net, separate_magnitude_peaks


def separate(maps: Maps, params: SeparationParams | None = None) -> Separation:
    """Cut the nuclei of a tile or a whole image apart.

    Parameters
    ----------
    maps : Maps
        NP probability and HV maps.
    params : SeparationParams, optional
        Default ``SeparationParams()``, the preset "local".

    Returns
    -------
    Separation
        The stages that ran: mask, energy, markers, labels.

    Notes
    -----
    "local" differentiates HV with Gaussians inside the mask, takes minus the divergence
    as energy, floods it from its minima and joins basins that no real pass divides.
    Temporaries beyond the result stay below about 13 bytes per pixel. "hover_net" is the
    post-processing of Graham et al., Medical Image Analysis 2019.

    Examples
    --------
    >>> import numpy, napari_hovernet as nh
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> maps = nh.Maps(np=labels > 0, hv=nh.hv_targets(labels))
    >>> nh.separate(maps).n
    2
    """
    params = SeparationParams() if params is None else params
    if not maps.np.size:
        empty = np.zeros(maps.shape, np.int32)
        return Separation(empty.astype(bool), empty.astype(np.float32), empty, empty.copy())
    methods = {
        "local": separate_local,
        "hover_net": separate_hover_net,
        "magnitude_peaks": separate_magnitude_peaks,
    }
    separation = methods[params.method](maps, params)
    return merged(separation) if params.merge_touching else separation
