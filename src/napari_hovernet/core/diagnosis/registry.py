"""Which checks there are, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from ..types import Progress
from .bench import Bench
from .report import FAMILIES, Finding

Steps = Iterator[Progress | Finding]
"""What a check gives, step by step; at least one finding of its own id."""

MODULES = (
    "data_checks",
    "target_checks",
    "map_checks",
    "model_checks",
    "separation_checks",
    "loss_checks",
    "augmentation_checks",
)
"""Modules beside this one that list their checks in ``CHECKS``, the quickest first."""

PHRASES = {
    "image": "images",
    "labels": "true labels",
    "types": "types",
    "features": "tokens",
    "maps": "NP and HV maps (or a model and images)",
    "targets": "stored targets (hv, np)",
    "model": "a model",
    "separation": "a separation",
    "loss": "a loss",
    "augmentation": "an augmentation",
    "held_out": "images of the other side of the split",
}
"""How what is needed is called in "not tested: give ..."."""


@dataclass(frozen=True)
class Check:
    """One check.

    Parameters
    ----------
    id : str
        Of its finding, ``family.name``.
    title : str
        What is looked at, a few words.
    needs : tuple of str
        All of these must be there, of :data:`PHRASES`.
    run : callable
        Bench -> steps; a generator that yields :class:`Progress` between pieces of long work
        (so that it can be cancelled) and its finding(s). It may raise a ``UserError``.
    """

    id: str
    title: str
    needs: tuple[str, ...]
    run: Callable[[Bench], Steps]

    @property
    def family(self) -> str:
        """What the id starts with."""
        return self.id.partition(".")[0]

    def missing(self, there: frozenset[str]) -> str:
        """Say what has to be given before it can be made, "" if nothing."""
        lacking = [PHRASES.get(need, need) for need in self.needs if need not in there]
        return f"give {' and '.join(lacking)}" if lacking else ""


def all_checks(families: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """List all checks, the quickest first.

    Parameters
    ----------
    families : tuple of str
        Only these; () = all.
    """
    wanted = families or FAMILIES
    found: list[Check] = []
    for name in MODULES:
        module = import_module(f".{name}", __package__)
        found.extend(check for check in module.CHECKS if check.family in wanted)
    return tuple(found)
