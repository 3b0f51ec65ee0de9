"""What generated tissue looks like, in micrometres and optical density."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError

MIN_MPP, MAX_MPP = 0.1, 2.0
"""Micrometres per pixel between which nuclei are neither huge nor lost."""


@dataclass(frozen=True)
class TissueParams:
    """Numbers behind a generated tissue.

    Parameters
    ----------
    mpp : float
        Micrometres per pixel, 0.1..2.
    density : float
        Nuclei per mm² of epithelium wished for; about 12,000 in crowded glands.
    stroma_density : float
        Spindle nuclei per mm² of stroma.
    lymphocyte_density : float
        Lymphocytes per mm² where inflammation is.
    touching : float
        Share of nuclei that touch another, 0..0.8, wished for; reached within a few percent.
    max_overlap : float
        Largest share of a nucleus that a neighbour may cover, 0..0.5.
    gland_spacing : float
        Mean distance of gland centres in micrometres.
    lumen_share : float
        Share of glands with a lumen (regular epithelium); the others are solid nests.
    hematoxylin, eosin : float
        Strength of the stains; 1 = a well stained slide.
    blur : float
        Sigma in micrometres of the optics.
    noise : float
        Standard deviation of the sensor noise in grey levels.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> TissueParams(touching=0.2).mpp
    0.25
    """

    mpp: float = 0.25
    density: float = 12_000.0
    stroma_density: float = 2400.0
    lymphocyte_density: float = 11_000.0
    touching: float = 0.4
    max_overlap: float = 0.15
    gland_spacing: float = 88.0
    lumen_share: float = 0.5
    hematoxylin: float = 1.0
    eosin: float = 1.0
    blur: float = 0.16
    noise: float = 1.6

    def __post_init__(self) -> None:
        limits = {
            "mpp": (MIN_MPP, MAX_MPP),
            "touching": (0, 0.8),
            "max_overlap": (0, 0.5),
            "lumen_share": (0, 1),
            "gland_spacing": (40, 1000),
        }
        names = ("density", "stroma_density", "lymphocyte_density")
        limits |= dict.fromkeys(names, (0, 30_000))
        limits |= {"hematoxylin": (0, 4), "eosin": (0, 4), "blur": (0, 5), "noise": (0, 50)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"{name} is {getattr(self, name)}; give a number in {low:g}..{high:g}."
                )
