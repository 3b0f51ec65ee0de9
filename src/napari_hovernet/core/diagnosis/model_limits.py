"""Bounds of the checks of a network."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class ModelLimits:
    """From where on something about a network is wrong.

    "Gain" is how much better maps agree with the true nuclei (or, without truth, with the
    image and themselves) under a what-if; see :class:`.model_quality.PartQuality`.

    Parameters
    ----------
    seconds : float
        Time for what-ifs; a slow network is tried on fewer images (at least ``least_parts``).
    least_parts : int
        Images a slow network is tried on at least; images after which a what-if is given up
        that makes all of them worse by ``hopeless`` or more.
    hopeless : float
        See ``least_parts``.
    ruinous : float
        Loss on the first image after which a what-if is given up at once.
    fits : float
        Least correlation of NP with the truth (or with how dark the image is), in some
        what-if, for a judgement.
    alone_fits : float
        Without truth, maps under a what-if must agree with image and themselves by this much.
    counts : float
        Gain from which on an image counts as better.
    consistent : float
        Share of the images that must get better.
    contradiction : float
        A what-if that the truth likes must not make maps agree less with the image and
        themselves by more than this.
    few_factor : float
        With fewer images than ``least_parts`` the gain must be this many times larger.
    channel_gain, range_gain, zoom_gain, normalisation_gain : float
        Least mean gain of a fault.
    strong_look : float
        Gain of a better look of the images from which on it is a fault, not a warning.
    sure_gain : float
        Gain from which on a fault is as certain as it gets.
    alone_factor : float
        Without truth, gains must be this many times larger.
    zooms : tuple of float
        Sizes of images that are tried.
    strong_zoom : float
        A zoom of at least this factor (or its inverse) is a fault, a smaller one a warning.
    usual_diameter : (float, float)
        Pixels: nuclei that a network finds are of this size if the magnification is right.
    possible_diameter : (float, float)
        Pixels: a zoom must not bring nuclei beyond these sizes.
    unusual_gain : float
        Least mean gain of a zoom when nuclei have an unusual size.
    harmless : float
        Loss that does not speak against a zoom when nuclei have an unusual size.
    huge_diameter : float
        Pixels: without truth, larger nuclei than this are a fault if a smaller image does no
        harm.
    turn_np : float
        Least correlation of NP with that of the mirrored image, mirrored back.
    turn_cosine : float
        Least mean cosine of HV, likewise.
    turn_one : float
        A channel of HV that is shorter than this share of the other has no direction.
    turn_flat : float
        Standard deviation of NP below which there is nothing to compare.
    turn_magnitude : float
        HV shorter than this has no direction to compare.
    init_weights : int
        Layers with fewer weights are not compared with the default initialisation.
    init_fill : float
        Largest weight against the bound of the default initialisation, from which on they are
        said to fill it.
    init_std : float
        Relative difference of their standard deviation from that of a uniform distribution.
    dead_fault, dead_warn : float
        Share of the channels of a rectified layer that are 0 everywhere.
    flat_channels : float
        Share of the channels of a layer that are the same everywhere.
    explodes : float
        Largest value inside a network.
    layer_growth : float
        Typical values of a layer against those of the layers before it.
    constant : float
        Standard deviation over the pixels below which an output is the same everywhere.
    norm_distance : float
        Median over the channels of a layer of ``|mean - running mean| / running std``.
    norm_ratio : float
        Median over the channels of the larger of var / running var and its inverse.
    norm_layers : float
        Share of the layers beyond one of both.
    norm_far_distance, norm_far_ratio : float
        Of one layer, from which on it is a fault where no what-if can tell (tokens).
    norm_gain : float
        Least mean gain when batch norm is adapted to the data.
    norm_huge, norm_tiny : float
        Running variances beyond these cannot be right.
    norm_bad_channels : float
        Share of the channels of a layer with such a variance.
    token_gain : float
        Least mean gain of another token prefix.
    row_break : float
        How much less alike tokens across the end of a row are than neighbours in it.
    tile_np, tile_cosine : float
        Least correlation of NP, and mean cosine of HV, of the same place in another tile.
    tile_offset : (int, int)
        Rows and columns by which the other tile begins later.
    tile_margin : int
        Pixels at the edge of the other tile that are not compared.
    same : float
        Largest difference of NP between two predictions of the same image.
    same_maps : float
        Mean difference between maps of an image and of its negative, up to which a network sees
        nothing of it.
    failing : float
        Share of the images on which a network may fail before it is a fault, not a warning.

    Raises
    ------
    InputError
        If a bound is not above 0.

    Examples
    --------
    >>> ModelLimits().strong_zoom
    1.8
    """

    seconds: float = 40.0
    least_parts: int = 3
    hopeless: float = 0.02
    ruinous: float = 0.3
    fits: float = 0.5
    alone_fits: float = 0.45
    counts: float = 0.01
    consistent: float = 0.7
    contradiction: float = 0.06
    few_factor: float = 2.0
    channel_gain: float = 0.015
    range_gain: float = 0.10
    zoom_gain: float = 0.03
    normalisation_gain: float = 0.06
    strong_look: float = 0.1
    sure_gain: float = 0.15
    alone_factor: float = 1.3
    zooms: tuple[float, ...] = (0.35, 0.5, 0.71, 1.41, 2.0, 2.8)
    strong_zoom: float = 1.8
    usual_diameter: tuple[float, float] = (12.0, 46.0)
    possible_diameter: tuple[float, float] = (9.0, 60.0)
    unusual_gain: float = 0.02
    harmless: float = 0.012
    huge_diameter: float = 55.0
    turn_np: float = 0.5
    turn_cosine: float = 0.3
    turn_one: float = 0.1
    turn_flat: float = 0.02
    turn_magnitude: float = 0.1
    init_weights: int = 500
    init_fill: float = 0.98
    init_std: float = 0.05
    dead_fault: float = 0.9
    dead_warn: float = 0.75
    flat_channels: float = 0.45
    explodes: float = 1e4
    layer_growth: float = 1e3
    constant: float = 1e-6
    norm_distance: float = 0.5
    norm_ratio: float = 2.5
    norm_layers: float = 0.3
    norm_far_distance: float = 3.0
    norm_far_ratio: float = 20.0
    norm_gain: float = 0.04
    norm_huge: float = 1e8
    norm_tiny: float = 1e-10
    norm_bad_channels: float = 0.5
    token_gain: float = 0.04
    row_break: float = 0.03
    tile_np: float = 0.93
    tile_cosine: float = 0.9
    tile_offset: tuple[int, int] = (16, 48)
    tile_margin: int = 32
    same: float = 0.05
    same_maps: float = 0.005
    failing: float = 0.05

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            smallest = min(value) if isinstance(value, tuple) else value
            if not smallest > 0:
                raise InputError(f"{field.name} is {value}; give a number above 0.")


MODEL_LIMITS = ModelLimits()
"""The bounds in use."""
