"""How a slide is cut up, and who does the work; light to import."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from ..choices import check_choices, choice, described

AUTO, OFF = "auto", "off"
"""Tissue masks that are no files."""
LARGEST = 2048
"""Longest edge in pixels of a connected part that is taken whole; larger ones are cut."""
GRID = 64
"""Edges of cores are multiples of it, pixels."""

SLIDE_SUFFIXES = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".qptiff", ".dcm",
)  # fmt: skip
"""How the names of files end that are slides, or nearly always; napari.yaml lists them, too."""

# fmt: off


@described
@dataclass(frozen=True)
class SlideParams:
    """How a slide is cut into blocks.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    block: int = choice(
        4096, "Block", "Edge of the blocks, a multiple of 64; the result does not depend on it, "
        "memory does.", unit="px", low=GRID, high=16384, step=GRID, span=(512, 8192),
        option="block")
    context: int = choice(
        96, "Context", "Pixels around a block that are looked at for nuclei which reach beyond it; "
        "where that is too little, the block runs again with twice as many.",
        unit="px", low=8, high=LARGEST, step=16, span=(16, 512), option="context")
    level: int = choice(
        0, "Level", "Of the slide's pyramid, 0 the finest.", low=0, high=32, step=1,
        option="level")
    mask: str = choice(
        AUTO, "Tissue", "auto = found on an overview; off = all of the slide; or a file: GeoJSON, "
        "or a picture of the whole slide that is not black on tissue.",
        options=(AUTO, OFF), loose=True, option="mask")

    def __post_init__(self) -> None:
        check_choices(self)
        if self.block % GRID:
            raise InputError(f"block is {self.block}; give a multiple of {GRID}.")


@described
@dataclass(frozen=True)
class WorkParams:
    """Who does the work."""

    workers: int = choice(
        0, "Workers", "Processes on this machine; 0 = this process alone.",
        low=0, high=1024, span=(0, 64), step=1, option="workers")
    scheduler: str = choice(
        "", "Scheduler", "Address of a dask scheduler (tcp://...) whose workers see the same files "
        "under the same paths.", option="scheduler")

    def __post_init__(self) -> None:
        check_choices(self)


# fmt: on
