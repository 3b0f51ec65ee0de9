"""From where on images and labels are at fault; measured on real and on generated tissue."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class DataLimits:
    """Bounds of the checks of images, labels and types.

    Parameters
    ----------
    unusable : float
        Share of images that cannot be used from which it is a fault (below: a warning).
    empty, empty_all : float
        Share of images without nuclei from which it is a warning, and a fault.
    coverage, coverage_all : float
        Share of nucleus pixels above which it is flagged, and a fault.
    darker : float
        Difference in optical density, inside minus outside of nuclei in standard deviations,
        that shows that nuclei are nuclei (real tissue: 1.0 to 3).
    lighter : float
        The same below which "nuclei" are background.
    dark_ground : float
        Median optical density above which an image is not of bright field.
    giant : float
        Share of an image that one instance covers from which it is suspected to be background.
    giant_images : float
        Share of images with such an instance from which it is a fault.
    flood_parts : int
        Holes that a background taken for nuclei has, at least, where there is no image.
    nuclei : int
        Nuclei below which shapes are not judged.
    solidity : float
        Area over convex area below which a shape is a lump, if it is also larger than most.
    lumps, lumps_all : float
        Share of lumps from which labels may be, and are, components of a mask (instances drawn
        by hand: 0.02 to 0.05; components of them: 0.13 to 0.20).
    touching : float
        Share of touching instances below which labels look like components.
    least_lumps : int
        Lumps below which nothing is said.
    hv_step : float
        Step of stored HV between two pixels of one label that is a border between nuclei.
    hv_split : float
        Share of labels with such borders from which labels are merged nuclei.
    shape_area : int
        Pixels below which a shape is not judged.
    mask_parts : float
        Parts per id (median) from which labels are a mask or a map of types.
    mask_components : int
        Components there must be for that.
    speck_area : int
        Pixels below which an instance is a speck.
    specks, split_ids, holes : float
        Share of instances that are specks, lie in parts, or have holes, from which it is a
        warning.
    split_all, holes_all, specks_all, boxes_all : float
        Share of instances in several parts, with holes, that are specks, or rectangles, from
        which it is a fault.
    box_fill : float
        Share of its bounding box that a rectangle fills (nuclei: 0.6 to 0.85).
    small_px, large_px : float
        Standard deviations in pixels of the two Gaussians that make structures of the size of
        nuclei stand out.
    contrast : float
        Spread of the optical density so filtered below which an image shows nothing.
    constant : float
        Share of nucleus pixels above which labels are too full to be compared with an image.
    register_edge : int
        Edge in pixels of the part of an image that is compared with its labels.
    register_items : int
        Images compared.
    reach : int
        Largest shift in pixels that is tried.
    shift : float
        Pixels above which a shift is one.
    match : float
        Correlation of labels with an image from which they belong together.
    chance : float
        Correlation that chance reaches, times the root of the number of nuclei.
    better : float
        How much better another place must fit (a shift: ``shift_better``, of one image alone:
        ``one_better``).
    shift_better, one_better : float
    fitting : float
        Correlation below which labels do not fit, if nothing else fits either.
    agree_px : float
        Pixels within which images agree on a shift.
    agree : float
        Share of images that must.
    odd_items : float
        Share of images at another place from which it is a fault (below: a warning).
    duplicates : float
        Share of doubled images from which it is a fault (below: a warning).
    turned_copy : float
        Correlation of small pictures above which one is the other, turned.
    cohort : int
        Images in a group on either side from which groups are cohorts, not source images.
    blank : float
        Grey levels of spread below which an image is blank.
    blank_items : float
        Share of blank images from which it is a fault.
    unit_range : int
        Largest value of whole numbers that are really 0..1.
    blue_red : float
        Optical density of nuclei against their surroundings, blue over red, from which red and
        blue are swapped (tissue: 0.05 to 0.8).
    colour : float
        Spread between channels below which an image is grey.
    untyped, untyped_all : float
        Share of nucleus pixels without a type that is a warning, and a fault.
    typed_outside, typed_outside_all : float
        Share of background pixels with a type that is a warning, and a fault.
    mixed_types : float
        Share of nuclei with two types from which it is a warning.
    type_items : int
        Images from which a missing type is worth a word.
    """

    unusable: float = 0.1
    empty: float = 0.2
    empty_all: float = 0.5
    coverage: float = 0.5
    coverage_all: float = 0.75
    darker: float = 0.5
    lighter: float = -0.15
    dark_ground: float = 1.2
    giant: float = 0.3
    giant_images: float = 0.3
    flood_parts: int = 4
    nuclei: int = 20
    solidity: float = 0.88
    lumps: float = 0.08
    lumps_all: float = 0.10
    touching: float = 0.01
    least_lumps: int = 4
    hv_step: float = 0.8
    hv_split: float = 0.04
    shape_area: int = 30
    mask_parts: float = 3.0
    mask_components: int = 6
    speck_area: int = 10
    specks: float = 0.15
    split_ids: float = 0.1
    holes: float = 0.15
    split_all: float = 0.3
    holes_all: float = 0.5
    specks_all: float = 0.5
    boxes_all: float = 0.5
    box_fill: float = 0.97
    small_px: float = 2.0
    large_px: float = 20.0
    contrast: float = 0.008
    constant: float = 0.97
    register_edge: int = 640
    register_items: int = 48
    reach: int = 128
    shift: float = 2.5
    match: float = 0.2
    chance: float = 2.5
    better: float = 0.12
    shift_better: float = 0.005
    one_better: float = 0.015
    fitting: float = 0.12
    agree_px: float = 2.0
    agree: float = 0.6
    odd_items: float = 0.2
    duplicates: float = 0.2
    turned_copy: float = 0.97
    cohort: int = 12
    blank: float = 1.0
    blank_items: float = 0.5
    unit_range: int = 1
    blue_red: float = 1.1
    colour: float = 1.0
    untyped: float = 0.05
    untyped_all: float = 0.2
    typed_outside: float = 0.05
    typed_outside_all: float = 0.2
    mixed_types: float = 0.1
    type_items: int = 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > (-1 if field.name == "lighter" else 0):
                raise InputError(f"{field.name} is {value}; give a number above 0.")


LIMITS = DataLimits()
"""The bounds in use."""
