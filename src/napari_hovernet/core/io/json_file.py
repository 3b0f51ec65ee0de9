"""Reading JSON that strangers wrote, and numbers out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import TypeInfo

MAX_JSON_BYTES = 2 * 2**30
"""Larger files are refused: a parsed one takes ten times its size in memory."""
METADATA_KEY = "napari_hovernet"
"""Member of the files we write that tells how they were made; other readers skip it."""


def load_json(path: str | os.PathLike[str]) -> Any:
    """Parse a JSON file.

    Raises
    ------
    InputError
        If it cannot be read, is no JSON, holds NaN or Infinity, or is too large or deep.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        if size > MAX_JSON_BYTES:
            raise InputError(
                f"{file} has {size / 2**30:.1f} GiB; files up to {MAX_JSON_BYTES // 2**30} GiB "
                "are read: export a smaller region."
            )
        return json.loads(file.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}.") from error
    except RecursionError as error:
        raise InputError(f"{file} is nested too deeply; it is no result of nuclei.") from error
    except InputError:
        raise
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an endless number
        raise InputError(f"{file} is not valid JSON: {error}. Is it cut off?") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def numbers(value: Any, what: str) -> npt.NDArray[np.float64]:
    """Return nested lists of JSON numbers as an array.

    Raises
    ------
    InputError
        If it is ragged, or holds anything but finite numbers; names ``what``.
    """
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{what} is nested unevenly: {_shown(value)}.") from error
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what} must be numbers, not {_shown(value)}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds a number that is not finite: {_shown(value)}.")
    return array


def points(value: Any, what: str) -> npt.NDArray[np.float64]:
    """Return a list of ``[x, y]`` as a float64 (k, 2) array; a third number is dropped.

    Raises
    ------
    InputError
        If it is nested otherwise, or holds anything but finite numbers.
    """
    array = numbers(value, what)
    if array.ndim != 2 or array.shape[1] not in {2, 3}:
        raise InputError(f"{what} must be a list of [x, y], not {_shown(value)}.")
    return array[:, :2]


def member(data: Any, key: str, what: str) -> Any:
    """Return ``data[key]`` of a JSON object.

    Raises
    ------
    InputError
        If ``data`` is no object or lacks the key.
    """
    if not isinstance(data, dict):
        raise InputError(f"{what} must be an object with {key!r}, not {_shown(data)}.")
    if key not in data:
        raise InputError(f"{what} lacks {key!r}; it has {', '.join(map(repr, data)) or 'nothing'}.")
    return data[key]


def types_to_json(types: Mapping[int, TypeInfo]) -> dict[str, Any]:
    """Return type names and colours as plain values."""
    return {str(k): {"name": t.name, "color": list(t.color)} for k, t in types.items()}


def types_from_json(value: Any) -> dict[int, TypeInfo]:
    """Read what :func:`types_to_json` made; {} where it is anything else."""
    found = {}
    for key, entry in value.items() if isinstance(value, dict) else ():
        colour = color_of(entry.get("color")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if not (key.isascii() and key.isdigit() and len(key) < 5 and isinstance(name, str)):
            return {}
        found[int(key)] = TypeInfo(name, colour or (128, 128, 128))
    return found


def color_of(value: Any) -> tuple[int, int, int] | None:
    """Read ``[r, g, b]`` in 0..255, or a packed whole number as older QuPath writes it."""
    if isinstance(value, int) and not isinstance(value, bool):
        packed = value & 0xFFFFFF
        return (packed >> 16, (packed >> 8) & 255, packed & 255)
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(isinstance(v, int) and 0 <= v <= 255 for v in value):
        return None
    return (int(value[0]), int(value[1]), int(value[2]))


def _shown(value: Any, length: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]} ..."
