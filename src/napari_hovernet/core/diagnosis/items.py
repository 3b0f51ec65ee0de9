"""One image as the checks see it: read as the setup says, whatever could be read of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import UserError
from ..data.samples import Turn, turn_hv, turn_plane
from ..data.stored_hv import read_stored
from ..inference.images import UInt8, as_source
from ..measure.compare import check_truth
from ..types import Float32, Int32
from .case import TARGETS, RawItem
from .setup import Setup

CHANNELS = 2


@dataclass(frozen=True, eq=False)
class Item:
    """One image; what is not there, or cannot be used, is None.

    Parameters
    ----------
    index : int
        Number in the case.
    name : str
    image : uint8 (H, W, 3), optional
        In the channel order that the model gets.
    labels : int32 (H, W), optional
        True instances, turned and moved as the setup says.
    types : int (H, W), optional
    target_np : uint8 (H, W), optional
        Stored NP, 1 = nucleus.
    target_hv : float32 (2, H, W), optional
        Stored HV, read as the setup says ([H, V] outward if that is right).
    problems : tuple of str
        What could not be used and why; what was assumed.
    """

    index: int
    name: str
    image: UInt8 | None = None
    labels: Int32 | None = None
    types: npt.NDArray[Any] | None = None
    target_np: npt.NDArray[np.uint8] | None = None
    target_hv: Float32 | None = None
    problems: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width in pixels of the first plane that is there."""
        for plane in (self.labels, self.target_np, self.types, self.image):
            if plane is not None:
                return (int(plane.shape[0]), int(plane.shape[1]))
        return (
            None if self.target_hv is None else (self.target_hv.shape[1], self.target_hv.shape[2])
        )


def item_of(raw: RawItem, index: int, setup: Setup, kind: str) -> Item:
    """Read one item as the setup says.

    Parameters
    ----------
    raw : RawItem
    index : int
    setup : Setup
    kind : {"maps", "targets"}
        What its np and hv are.
    """
    problems: list[str] = []
    made: dict[str, Any] = {}
    for name, read in (("image", _image), ("labels", _labels), ("types", _types)):
        made[name] = _tried(read, getattr(raw, name), setup, problems, name)
    if kind == TARGETS:
        made["target_np"] = _tried(_target_np, raw.np, setup, problems, "np")
        made["target_hv"] = _tried(_target_hv, raw.hv, setup, problems, "hv")
        if any(setup.labels_turn) or any(setup.labels_shift):
            _move_targets(made, raw, setup)
    return Item(index, raw.name, problems=tuple(problems), **made)


def _tried(read: Any, array: Any, setup: Setup, problems: list[str], name: str) -> Any:
    if array is None:
        return None
    try:
        return read(array, setup, problems)
    except (UserError, ValueError, TypeError, IndexError, OverflowError) as error:
        problems.append(f"{name}: {error}")
        return None


def _image(array: Any, setup: Setup, problems: list[str]) -> UInt8:
    """Read pixels as the network gets them."""
    given = np.asarray(array)
    if setup.input_factor != 1.0:
        given = np.clip(np.rint(given.astype(np.float32) * setup.input_factor), 0, 255)
        given = given.astype(np.uint8)
    source = as_source(given)
    problems.extend(f"image: {note}" for note in source.notes)
    pixels = source.read(0, source.shape[0], 0, source.shape[1])
    return np.ascontiguousarray(pixels[..., ::-1]) if setup.channel_order == "bgr" else pixels


def _labels(array: Any, setup: Setup, problems: list[str]) -> Int32:
    given = np.asarray(array)
    truth = check_truth(given, (int(given.shape[-2]), int(given.shape[-1])))
    problems.extend(f"labels: {note}" for note in truth.notes)
    labels: Int32 = moved(truth.labels, setup.labels_turn, setup.labels_shift)
    return labels


def _types(array: Any, setup: Setup, _: list[str]) -> npt.NDArray[Any]:
    given = np.asarray(array)
    if given.dtype.kind not in "iub" or given.ndim != 2:
        raise ValueError(f"dtype {given.dtype}, shape {given.shape}; types are whole (H, W)")
    types = given.astype(np.int32)
    if setup.type_offset:
        types = np.where(types > 0, np.maximum(types + setup.type_offset, 0), 0)
    plane: npt.NDArray[Any] = moved(types, setup.labels_turn, setup.labels_shift)
    return plane


def _target_np(array: Any, setup: Setup, problems: list[str]) -> npt.NDArray[np.uint8]:
    given = np.asarray(array)
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError("holds NaN or infinite values")
    if given.ndim != 2:
        raise ValueError(f"shape {given.shape}; NP is (H, W)")
    values = np.unique(given[:: max(given.shape[0] // 64, 1)])
    if len(values) > 2:
        problems.append("np: is not 0 and 1 only; above 0 counts as nucleus")
    nucleus = given > 0
    inside = (~nucleus if setup.np_channel == 0 else nucleus).astype(np.uint8)
    return inside


def _target_hv(array: Any, setup: Setup, problems: list[str]) -> Float32:
    given = channel_first(np.asarray(array))
    if given.dtype.kind not in "iuf":
        raise ValueError(f"dtype {given.dtype}; HV is float, or whole numbers of -127..127")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        problems.append("hv: holds NaN or infinite values, taken for 0")
        given = np.nan_to_num(given, nan=0.0, posinf=0.0, neginf=0.0)
    return read_stored(given, setup.target_order, setup.target_sign, setup.target_divisor)


def _move_targets(made: dict[str, Any], raw: RawItem, setup: Setup) -> None:
    """Move targets with their labels, unless they fit the moved labels better as they are."""
    turn, shift = setup.labels_turn, setup.labels_shift
    labels = made["labels"]
    given = None if labels is None else np.asarray(raw.labels) > 0
    for name in ("target_np", "target_hv"):
        plane = made[name]
        if plane is None:
            continue
        area = plane > 0 if plane.ndim == 2 else np.abs(plane).max(axis=0) > 0
        if given is not None and _overlap(area, labels > 0) > _overlap(area, given):
            continue
        if plane.ndim == 2:
            made[name] = moved(plane, turn, shift)
        else:
            turned = turn_hv(plane, Turn(bool(turn[0]), int(turn[1])))
            made[name] = moved(turned, (False, 0), shift)


def _overlap(area: Any, other: Any) -> float:
    if area.shape != np.shape(other):
        return -1.0
    return float((area & other).sum()) / max(float((area | other).sum()), 1.0)


def channel_first(hv: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return HV as (2, H, W), whichever end the channels stand at.

    Raises
    ------
    ValueError
        If there are not two channels.
    """
    if hv.ndim != 3:
        raise ValueError(f"shape {hv.shape}; HV is (2, H, W)")
    if hv.shape[0] == CHANNELS:
        return hv
    if hv.shape[-1] == CHANNELS:
        return np.moveaxis(hv, -1, 0)
    raise ValueError(f"shape {hv.shape}; HV is (2, H, W)")


def moved(plane: Any, turn: tuple[bool, int], shift: tuple[int, int]) -> Any:
    """Turn a plane and move it by rows and columns; what comes in from outside is 0."""
    if any(turn):
        plane = turn_plane(plane, Turn(bool(turn[0]), int(turn[1])))
    if any(shift):
        plane = shifted(plane, shift)
    return np.ascontiguousarray(plane)


def shifted(plane: Any, shift: tuple[int, int]) -> Any:
    """Move the last two axes by rows and columns; 0 comes in.

    Examples
    --------
    >>> shifted(np.array([[1, 2, 3]]), (0, 1)).tolist()
    [[0, 1, 2]]
    """
    out = np.zeros_like(plane)
    (r, c), (height, width) = shift, plane.shape[-2:]
    if abs(r) >= height or abs(c) >= width:
        return out
    to = (..., slice(max(r, 0), height + min(r, 0)), slice(max(c, 0), width + min(c, 0)))
    of = (..., slice(max(-r, 0), height + min(-r, 0)), slice(max(-c, 0), width + min(-c, 0)))
    out[to] = plane[of]
    return out
