"""How much is looked at; the bounds of each family stand with its checks."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class DiagnosisParams:
    """How much a diagnosis looks at.

    Parameters
    ----------
    n_items : int
        Images whose arrays are looked at, evenly spread.
    n_maps : int
        Of these, images that go through the network and the separation.
    n_variants : int
        Of these, images on which what-ifs are tried (another channel order, scale ...).
    variant_edge : int
        Longest edge in pixels of the part of an image used for what-ifs; the busiest part.
    n_places : int
        Examples that a finding names.
    families : tuple of str
        Families of checks that run; () = all.

    Raises
    ------
    InputError
        If a number is below 1 (64 for ``variant_edge``).

    Examples
    --------
    >>> DiagnosisParams().n_maps
    20
    """

    n_items: int = 100
    n_maps: int = 20
    n_variants: int = 8
    variant_edge: int = 256
    n_places: int = 5
    families: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least = {"variant_edge": 64}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "families" and value < least.get(field.name, 1):
                raise InputError(
                    f"{field.name} is {value}; give {least.get(field.name, 1)} or more."
                )
