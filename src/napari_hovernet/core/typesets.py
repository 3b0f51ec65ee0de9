"""Nucleus types of the published data sets, and what to assume from their number."""

from __future__ import annotations

from types import MappingProxyType

from .types import TypeInfo

BACKGROUND = TypeInfo("background", (0, 0, 0))

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
YELLOW, ORANGE = (255, 255, 0), (255, 165, 0)

PANNUKE = MappingProxyType(
    {
        0: BACKGROUND,
        1: TypeInfo("neoplastic", RED),
        2: TypeInfo("inflammatory", GREEN),
        3: TypeInfo("connective", BLUE),
        4: TypeInfo("dead", YELLOW),
        5: TypeInfo("non-neoplastic epithelial", ORANGE),
    }
)
"""PanNuke, names and colours as published with its HoVer-Net."""

CONSEP = MappingProxyType(
    {
        0: BACKGROUND,
        1: TypeInfo("epithelial", ORANGE),
        2: TypeInfo("inflammatory", GREEN),
        3: TypeInfo("spindle", BLUE),
        4: TypeInfo("miscellaneous", YELLOW),
    }
)
"""CoNSeP; colours follow PanNuke's for like types."""

MONUSAC = MappingProxyType(
    {
        0: BACKGROUND,
        1: TypeInfo("epithelial", ORANGE),
        2: TypeInfo("lymphocyte", GREEN),
        3: TypeInfo("macrophage", RED),
        4: TypeInfo("neutrophil", BLUE),
    }
)
"""MoNuSAC; colours follow PanNuke's for like types."""

PALETTE = (
    *(RED, GREEN, BLUE, YELLOW, ORANGE),
    *((0, 255, 255), (255, 0, 255), (128, 0, 255), (0, 128, 128), (255, 128, 192)),
)
"""Colours of types nobody has named, used in turn."""


def numbered(n_types: int) -> dict[int, TypeInfo]:
    """Name types by their number; 0 is background.

    Examples
    --------
    >>> numbered(3)[2]
    TypeInfo(name='type 2', color=(0, 255, 0))
    """
    named = {i: TypeInfo(f"type {i}", PALETTE[(i - 1) % len(PALETTE)]) for i in range(1, n_types)}
    return {0: BACKGROUND, **named}


def assumed(n_types: int | None, mode: str) -> tuple[dict[int, TypeInfo], str]:
    """Guess the type names of a published HoVer-Net, whose files do not hold them.

    Parameters
    ----------
    n_types : int or None
        Types, background included; None = the network has none.
    mode : {"fast", "original"}
        The published five-class weights are "original" for CoNSeP, "fast" for MoNuSAC.

    Returns
    -------
    types : dict of int to TypeInfo
        Empty if untyped.
    note : str
        What was assumed, fit for the user; "" if untyped.

    Examples
    --------
    >>> assumed(6, "fast")[0][1].name
    'neoplastic'
    """
    if n_types is None:
        return {}, ""
    said = f"type names are not in the file: {n_types} classes"
    if n_types == len(PANNUKE):
        return dict(PANNUKE), f"{said}, so those of PanNuke are assumed"
    if n_types == len(CONSEP) and mode == "original":
        return dict(CONSEP), f"{said} in original mode, so CoNSeP is assumed (MoNuSAC has 5 too)"
    if n_types == len(MONUSAC):
        return dict(MONUSAC), f"{said} in fast mode, so MoNuSAC is assumed (CoNSeP has 5 too)"
    return numbered(n_types), f"{said} of no known set, so they are numbered"
