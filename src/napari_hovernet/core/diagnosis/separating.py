"""The separation under diagnosis: ours with parameters, or anybody's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import InputError, UserError
from ..hv import compact_ids
from ..params import SeparationParams
from ..separation import separate
from ..separation.tuning import TuneParams, tune
from ..types import Int32, Maps


@dataclass(frozen=True, eq=False)
class Separator:
    """Cuts maps into instances.

    Parameters
    ----------
    name : str
    cut : callable
        Maps -> int32 (H, W).
    params : SeparationParams, optional
        None for a function of the user's own.

    Examples
    --------
    >>> Separator.of("hover_net").name
    'hover_net'
    """

    name: str
    cut: Callable[[Maps], Int32]
    params: SeparationParams | None = None

    @classmethod
    def of(cls, separation: Any = None) -> Separator:
        """Make one of what a user gives.

        Parameters
        ----------
        separation : str, SeparationParams, TuneParams, callable or None
            A preset's name, parameters, or a function ``f(maps)`` or ``f(np, hv)`` that
            returns an int (H, W) label image. None = the default.

        Raises
        ------
        InputError
            If it is none of them.
        """
        if separation is None:
            return cls.of(SeparationParams())
        if isinstance(separation, str):
            made = cls.of(SeparationParams.preset(separation))
            return replace(made, name=separation)
        if isinstance(separation, SeparationParams):
            params = separation
            return cls(params.method, lambda maps: separate(maps, params).labels, params)
        if isinstance(separation, TuneParams):
            tuned = separation
            return cls(
                tuned.separation.method,
                lambda maps: tune(maps, tuned).labels,
                tuned.separation,
            )
        if callable(separation):
            return cls(getattr(separation, "__name__", "own separation"), _guarded(separation))
        raise InputError(
            f"separation is a {type(separation).__name__}; give a preset's name, "
            "SeparationParams, or a function f(np, hv) that returns labels."
        )

    def changed(self, changes: Mapping[str, Any] | None, np_threshold: float | None) -> Separator:
        """Return it with fields of its parameters changed; a function of its own stays as it is.

        Raises
        ------
        InputError
            If a value is out of range.
        """
        if not changes and np_threshold is None:
            return self
        changes = dict(changes or {})
        preset = changes.pop("preset", None)
        if preset is None and self.params is None:
            return self
        base = SeparationParams.preset(preset) if preset else self.params
        if base is None:  # pragma: no cover - one of the two is there
            return self
        if np_threshold is not None:
            changes["np_threshold"] = np_threshold
        made = Separator.of(replace(base, **changes))
        return replace(made, name=preset or self.name)


def _guarded(function: Callable[..., Any]) -> Callable[[Maps], Int32]:
    """Call a function of the user's own; its failures become errors that name it."""
    two = _takes_two(function)

    def cut(maps: Maps) -> Int32:
        try:
            made = function(maps.np.copy(), maps.hv.copy()) if two else function(maps)
        except UserError:
            raise
        except Exception as error:
            raise InputError(
                f"The separation failed ({type(error).__name__}: {error}); it is called with np "
                f"{maps.shape} and hv {maps.hv.shape}."
            ) from error
        labels = np.asarray(made)
        if labels.shape != maps.shape:
            raise InputError(
                f"The separation returned shape {labels.shape} for maps of {maps.shape}; return "
                "one label image."
            )
        if labels.dtype.kind == "f":
            labels = np.rint(labels).astype(np.int64)
        return compact_ids(labels)[0]

    return cut


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(positional) != 1
