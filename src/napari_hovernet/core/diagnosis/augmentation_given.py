"""An augmentation as it is given, and the crops that go into it.

``augmentation`` may be

- a function ``f(image, labels, hv)`` (or ``f(image, labels, hv, types)``) that returns as many:
  image uint8 (H, W, 3), labels int (H, W), HV float32 (2, H, W) in the channel order and sign
  that :attr:`.Setup.target_order` and ``target_sign`` say;
- a function of the albumentations kind, ``f(image=, mask=, hv=)`` that returns a dict; HV as
  (2, H, W), or (H, W, 2) where that is what it wants;
- declared rules: a mapping of turns (``hflip``, ``vflip``, ``rot90`` against the clock ...) to
  the 2 x 2 matrix that the two channels of stored HV are multiplied with;
- :class:`.AugmentParams`, ``"ours"`` (that of the training), ``"story"`` (rules of [H, V] on data
  stored [V, H]), ``"none"``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, UserError
from ..data.samples import TURNS, SampleArrays, Turn, turn_plane
from ..hv import HVConvention, convert, hv_targets
from ..inference.images import UInt8
from ..params import AugmentParams
from ..synthetic import tissue
from ..training.crops import augment_image, cut_crop, draw_move, targets_of, turned
from ..types import Float32, Int32
from .bench import Bench, busiest
from .case import Setup

Matrix = npt.NDArray[np.float64]
NAMES: Mapping[str, Turn] = {
    "identity": Turn(), "rot90": Turn(False, 1), "rotate90": Turn(False, 1),
    "rot180": Turn(False, 2), "rotate180": Turn(False, 2), "rot270": Turn(False, 3),
    "rotate270": Turn(False, 3), "hflip": Turn(True, 0), "horizontalflip": Turn(True, 0),
    "fliplr": Turn(True, 0), "vflip": Turn(True, 2), "verticalflip": Turn(True, 2),
    "flipud": Turn(True, 2), "transpose": Turn(True, 1), "transverse": Turn(True, 3)}  # fmt: skip
"""Turns by what they are called; the first name of each is shown."""
HELP = ("give a function f(image, labels, hv) that returns the three, one of the albumentations "
        "kind, f(image=, mask=, hv=) -> dict, rules (hflip ...), or ours, story, none")  # fmt: skip
EDGE, LEAST_EDGE, N_PROBES = 192, 48, 4  # Some dozen nuclei in each; with 48 px some are whole
FIRST_ID, ID_STEP, N_TYPES = 301, 4, 5  # Sparse: interpolation makes ids that were not there


@dataclass(frozen=True, eq=False)
class Probe:
    """A crop that goes into an augmentation."""

    image: UInt8
    labels: Int32
    types: Int32
    outward: Float32  # HV, [H, V] outward
    convention: HVConvention  # Order and sign in which it is handed over
    seed: int = 0

    @property
    def hv(self) -> Float32:
        """HV as it is handed over."""
        return convert(self.outward, HVConvention(), self.convention)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What came back of one draw."""

    image: npt.NDArray[Any]  # (H, W, C)
    labels: npt.NDArray[Any]
    hv: Float32  # In the convention it was handed over in
    types: npt.NDArray[Any] | None = None


Draw = Callable[[Probe, int], Drawn]


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Something that changes image, labels and HV together."""

    name: str
    draw: Draw
    other: Draw | None = None  # The same with HV as (H, W, 2), for functions that want it so


def read_augmentation(given: Any) -> Augmentation:
    """Make an augmentation of what a user gives."""
    if isinstance(given, AugmentParams) or given == "ours":
        params = AugmentParams() if given == "ours" else given
        return Augmentation("ours", lambda probe, number: _ours(params, probe, number))
    if isinstance(given, str):
        if given == "story":
            return Augmentation("story", _by_rules({t: t.matrix for t in TURNS}, "vh"))
        if given == "none":
            return Augmentation("none", lambda p, _: Drawn(p.image, p.labels, p.hv, p.types))
        raise InputError(f"augmentation is {given!r}; choose one of ours, story, none.")
    if isinstance(given, Mapping) and given:
        return Augmentation("declared rules", _by_rules(dict(map(_rule, given.items()))))
    if callable(given) and not isinstance(given, Mapping):
        name = getattr(given, "__name__", type(given).__name__)
        return Augmentation(name, _caller(given, name, False), _caller(given, name, True))
    raise InputError(f"augmentation is a {type(given).__name__}; {HELP}.")


def _rule(pair: tuple[Any, Any]) -> tuple[Turn, Matrix]:
    name, given = pair
    matrix = np.asarray(given, np.float64)
    if matrix.shape != (2, 2) or not np.isfinite(matrix).all():
        raise InputError(f"The rule of {name!r} has shape {matrix.shape}; give 2 x 2 numbers.")
    plain = "".join(c for c in str(name).lower() if c.isalnum())
    turn = name if isinstance(name, Turn) else NAMES.get(plain)
    if turn is None:
        raise InputError(f"turn {name!r} is not known; choose one of {', '.join(NAMES)}.")
    return turn, matrix


def _by_rules(rules: Mapping[Turn, Matrix], order: str = "") -> Draw:
    """Turn everything, and multiply the channels of HV (in this order, "" = as handed over)."""
    each = list(rules.items())

    def draw(p: Probe, number: int) -> Drawn:
        turn, rule = each[number % len(each)]
        stored = replace(p.convention, order=order or p.convention.order)
        hv = turn_plane(convert(p.outward, HVConvention(), stored), turn)
        hv = np.einsum("ij,jhw->ihw", rule, hv).astype(np.float32)
        image = np.ascontiguousarray(turn_plane(p.image, turn, (0, 1)))
        return Drawn(image, turn_plane(p.labels, turn), convert(hv, stored, p.convention),
                     turn_plane(p.types, turn))  # fmt: skip

    return draw


def name_of(turn: Turn) -> str:
    """Return the name of a turn."""
    return next(name for name, t in NAMES.items() if t == turn)


def _ours(params: AugmentParams, probe: Probe, number: int) -> Drawn:
    """Draw of the training's own: HV from labels in even draws, stored HV turned in odd ones."""
    rng, from_labels = np.random.default_rng((probe.seed, number)), number % 2 == 0
    move = draw_move(params, rng, free=from_labels)
    if from_labels:
        arrays = SampleArrays(image=probe.image, labels=probe.labels, types=probe.types)
        arrays, _ = cut_crop(arrays, min(probe.labels.shape), move, rng)
    else:
        whole = SampleArrays(image=probe.image, np_target=probe.labels > 0,
                             hv_target=probe.outward, nt_target=probe.labels)  # fmt: skip
        arrays = turned(whole, move.turn)
    image: Any = arrays.image
    labels: Any = arrays.labels if from_labels else arrays.nt_target
    hv = convert(targets_of(arrays)[1], HVConvention(), probe.convention)
    return Drawn(augment_image(image, params, rng), labels, hv, arrays.types)


def _caller(function: Callable[..., Any], name: str, last: bool) -> Draw:
    """Wrap a function of the user's own; labels are given in the first type it can move."""
    keywords, with_types = _style(function)
    works: list[Any] = []

    def draw(p: Probe, _: int) -> Drawn:
        problem: Exception | None = None
        for dtype in works or (np.int32, np.uint16, np.int16, np.float32):
            hv = np.ascontiguousarray(np.moveaxis(p.hv, 0, -1)) if last else p.hv.copy()
            given = (p.image.copy(), p.labels.astype(dtype), hv)
            more = {"types": p.types.copy()} if with_types else {}
            try:
                made = function(**dict(zip(keywords, given, strict=True)), **more) if (
                    keywords) else function(*given, **more)  # fmt: skip
                drawn = as_planes(made, name)
            except Exception as error:
                problem = problem or error
                continue
            works[:] = [dtype]
            return drawn
        if isinstance(problem, UserError):
            raise problem
        raise InputError(f"The augmentation {name} failed ({type(problem).__name__}: {problem}); "
                         f"it is called with image {p.image.shape}, labels {p.labels.shape} and hv "
                         "(2, H, W).") from problem  # fmt: skip

    return draw


def _style(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Names of its arguments for image, labels and HV, () = by place; whether it takes types."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return (), False
    types = "types" in parameters
    for labels in ("mask", "labels"):
        if {"image", labels, "hv"} <= set(parameters):
            return ("image", labels, "hv"), types
    many = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return (("image", "mask", "hv"), types) if many else ((), types)


def as_planes(made: Any, name: str) -> Drawn:
    """Bring what an augmentation returned into one form."""
    keys = (("image",), ("mask", "labels", "label"), ("hv",), ("types",))
    parts: list[Any] = [None] * 4
    if isinstance(made, Mapping):
        parts = [next((made[k] for k in names if k in made), None) for names in keys]
    elif isinstance(made, tuple | list) and len(made) >= 3:
        parts = [*made, None]
    if any(part is None for part in parts[:3]):
        raise InputError(f"The augmentation {name} returned a {type(made).__name__}; return "
                         "(image, labels, hv), or a dict with image, mask and hv.")  # fmt: skip
    image, labels, hv = _array(parts[0]), np.squeeze(_array(parts[1])), _array(parts[2])
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[1:] == labels.shape:
        image = np.moveaxis(image, 0, -1)
    if hv.ndim == 3 and hv.shape[-1] == 2 and hv.shape[:2] == labels.shape:
        hv = np.moveaxis(hv, -1, 0)
    if labels.ndim != 2 or hv.shape != (2, *labels.shape) or image.shape[:2] != labels.shape:
        raise InputError(f"The augmentation {name} returned image {image.shape}, labels "
            f"{labels.shape} and hv {hv.shape}; they must be of one size.")  # fmt: skip
    kinds = None if parts[3] is None else np.squeeze(_array(parts[3]))
    return Drawn(image[..., None] if image.ndim == 2 else image, labels,
                 np.ascontiguousarray(hv, np.float32), kinds)  # fmt: skip


def _array(given: Any) -> npt.NDArray[Any]:
    return np.asarray(given.detach().cpu().numpy() if hasattr(given, "detach") else given)


def probes_of(bench: Bench) -> list[Probe]:
    """Cut crops of the case's images, or make synthetic ones where there are none."""
    found: list[Probe] = []
    for item in bench.items():
        if item.image is None or item.labels is None or item.image.shape[:2] != item.labels.shape:
            continue
        r0, r1, c0, c1 = busiest(item, item.labels.shape, EDGE)
        edge = min(r1 - r0, c1 - c0)
        box = (slice(r0, r0 + edge), slice(c0, c0 + edge))
        probe = probe_of(item.image[box], item.labels[box], bench.setup, item.index)
        large = np.unique(probe.labels[probe.labels > 0], return_counts=True)[1] >= 30
        if edge >= LEAST_EDGE and large.sum() >= 4 and probe.image.std() >= 1:
            found.append(probe)
        if len(found) == N_PROBES:
            break
    return found or synthetic_probes(bench.setup)


def synthetic_probes(setup: Setup) -> list[Probe]:
    """Make crops of synthetic tissue; always the same."""
    made = [tissue((EDGE, EDGE), seed=seed) for seed in range(2)]
    return [probe_of(t.image, t.labels, setup, seed) for seed, t in enumerate(made)]


def probe_of(image: UInt8, labels: Int32, setup: Setup, seed: int) -> Probe:
    """Make a probe of an image and its nuclei."""
    dense = np.unique(np.append(0, labels), return_inverse=True)[1][1:].reshape(labels.shape)
    sparse = np.where(dense > 0, FIRST_ID + ID_STEP * (dense - 1), 0).astype(np.int32)
    types = np.where(dense > 0, dense % N_TYPES + 1, 0).astype(np.int32)
    claimed = HVConvention(order=setup.target_order, sign=setup.target_sign)
    return Probe(np.ascontiguousarray(image), sparse, types, hv_targets(sparse), claimed, seed)
