"""Tuned parameters as a small JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from ...errors import InputError
from ..hv_reading import HVReading
from ..params import SeparationParams
from ..tuning import TuneParams
from .atomic import atomic_path
from .json_file import load_json

FORMAT = "napari-hovernet separation"
VERSION = 1
LARGEST = 1e9
"""No parameter is as large as this."""
LARGEST_EDGES = {
    "blur_size": 255,
    "opening_size": 255,
    "peak_distance": 255,
    "magnitude_window": 4095,
}
"""Pixels; larger kernels from a file would fill the memory before anything shows."""

T = TypeVar("T", SeparationParams, HVReading)


def write_params(path: str | os.PathLike[str], params: TuneParams) -> None:
    """Write parameters; a file of that name is replaced.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_params("separation.json", TuneParams())  # doctest: +SKIP
    """
    about = {"format": FORMAT, "version": VERSION, **params_as_dict(params)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def params_as_dict(params: TuneParams) -> dict[str, Any]:
    """Give parameters as plain values (JSON-able).

    Examples
    --------
    >>> params_as_dict(TuneParams())["hv"]
    {'order': 'hv', 'sign': 'outward', 'scale': 1.0}
    """
    separation = {**asdict(params.separation), "scales": list(params.separation.scales)}
    return {"separation": separation, "hv": asdict(params.hv)}


def read_params(path: str | os.PathLike[str]) -> TuneParams:
    """Read parameters that :func:`write_params` wrote; what is missing takes its default.

    Raises
    ------
    InputError
        If it is no such file, or holds an unknown field or an unfit value.

    Examples
    --------
    >>> read_params("separation.json").separation.depth  # doctest: +SKIP
    0.15
    """
    found = load_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"{path} holds no separation parameters; save some in the panel Tune separation."
        )
    version = found.get("version")
    if version != VERSION:
        raise InputError(
            f"{path} is of version {version!r}; this program reads version {VERSION}: update it."
        )
    return TuneParams(
        separation=_made(SeparationParams, found.get("separation", {}), f"{path}, separation"),
        hv=_made(HVReading, found.get("hv", {}), f"{path}, hv"),
    )


def _made(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: {values!r} is no set of named values.")
    default = kind()
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(
            f"{where}: {', '.join(unknown)} is not known; it may need a newer version."
        )
    checked = {name: _like(getattr(default, name), v, where, name) for name, v in values.items()}
    for name, most in LARGEST_EDGES.items():
        if checked.get(name, 0) > most:
            raise InputError(f"{where}: {name} is {checked[name]}; give up to {most} pixels.")
    try:
        return kind(**checked)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _like(default: Any, value: Any, where: str, name: str) -> Any:
    """Check that a value from a file is of the kind of the default."""
    if isinstance(default, tuple):
        if isinstance(value, list) and all(_is_number(v) for v in value):
            return tuple(float(v) for v in value)
    elif isinstance(default, bool | str):
        if isinstance(value, type(default)):
            return value
    elif _is_number(value) and (isinstance(default, float) or float(value).is_integer()):
        return type(default)(value)
    raise InputError(f"{where}: {name} is {value!r}; give something like {default!r}.")


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= LARGEST
