"""Organ families of the token decoder, and which tissue belongs to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ....errors import InputError

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "glandular": ("breast", "prostate", "thyroid", "pancreatic", "adrenalgland"),
        "digestive": ("colon", "stomach", "esophagus", "bileduct"),
        "urologic": ("kidney", "bladder", "testis", "ovarian", "uterus", "cervix"),
        "epidermal": ("skin", "headandneck", "headneck"),
        "respiratory": ("lung", "liver"),
    }
)
"""Tissues of PanNuke by family, small letters alone."""


def check_family(name: str) -> str:
    """Return the name of a family in small letters.

    Raises
    ------
    InputError
        If there is no such family.

    Examples
    --------
    >>> check_family("Epidermal")
    'epidermal'
    """
    found = name.strip().lower()
    if found and found not in FAMILIES:
        raise InputError(f"family is {name!r}; choose one of {', '.join(FAMILIES)}, or none.")
    return found


def of_family(tissues: Iterable[str], family: str) -> list[bool]:
    """Tell of each tissue whether it belongs to a family.

    Examples
    --------
    >>> of_family(["HeadNeck", "Bile-duct"], "epidermal")
    [True, False]
    """
    members = FAMILIES[check_family(family)]
    return ["".join(c for c in str(t).lower() if c.isalpha()) in members for t in tissues]
