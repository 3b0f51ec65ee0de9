"""What the checks work on: everything is read, predicted and cut once, when first asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError, UserError
from ..choices import check_choices, choice
from ..data.items import evenly
from ..data.samples import Turn, turn_hv, turn_plane
from ..data.stored_hv import read_stored
from ..data.stores import MAPS, TARGETS
from ..hv import HVReading, compact_ids, read_hv
from ..inference.images import UInt8, as_source
from ..measure.compare import check_truth
from ..measure.metrics import aji, contingency
from ..types import Float32, Int32, Maps
from .case import Case, Predictor, RawItem, Separator, Setup
from .report import FAMILIES, Finding

Box = tuple[int, int, int, int]
"""r0, r1, c0, c1, half-open."""
T = TypeVar("T")
P = ParamSpec("P")
BEFORE_NETWORK = ("zoom", "channel_order", "input_factor", "input_gamma", "image_order",
                  "token_prefix")  # fmt: skip
"""Fields of the setup that change what the network is given; predictions of others are kept."""
AFTER_MAPS = frozenset({"separation", "np_threshold", "target_order", "target_sign",
                        "target_divisor", "type_offset", "types_background", "labels_turn",
                        "labels_shift", "labels_zoom"})  # fmt: skip
"""Fields that change neither what the network gets nor how its maps are read; what is kept then."""
KEPT = ("maps", "variant", "box")


# fmt: off
@dataclass(frozen=True)
class DiagnosisParams:
    """How much a diagnosis looks at; the bounds of each check stand with it."""

    n_items: int = choice(100, "Images", "Whose arrays are looked at, evenly spread.", low=1)
    n_maps: int = choice(20, "Maps", "Of these, through network and separation.", low=1)
    n_variants: int = choice(6, "What-ifs", "Of these, seen in other ways by the network.", low=1)
    variant_edge: int = choice(256, "Part", "Longest edge of the part used for what-ifs.",
                               unit="px", low=64)
    n_places: int = choice(5, "Examples", "That a finding names.", low=1)
    families: tuple[str, ...] = ()  # Of checks that run; () = all
# fmt: on

    def __post_init__(self) -> None:
        check_choices(self)
        unknown = set(self.families) - set(FAMILIES)
        if unknown:
            raise InputError(
                f"families has {', '.join(sorted(unknown))}; choose of {', '.join(FAMILIES)}."
            )


@dataclass(frozen=True, eq=False)
class Item:
    """One image read as the setup says; what is not there, or cannot be used, is None."""

    index: int
    name: str
    image: UInt8 | None = None  # (H, W, 3), as the network gets it
    labels: Int32 | None = None
    types: npt.NDArray[Any] | None = None
    target_np: npt.NDArray[np.uint8] | None = None  # Stored NP, 1 = nucleus
    target_hv: Float32 | None = None  # (2, H, W), [H, V] outward if the setup is right
    problems: tuple[str, ...] = ()  # What could not be used and why; what was assumed

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width in pixels of the first plane that is there."""
        planes = (self.labels, self.target_np, self.types, self.image)
        plane = next((p for p in planes if p is not None), None)
        if plane is None:
            return None if self.target_hv is None else tuple(self.target_hv.shape[1:])
        return (int(plane.shape[0]), int(plane.shape[1]))


def kept(make: Callable[Concatenate[Bench, P], T]) -> Callable[Concatenate[Bench, P], T]:
    """Make what is measured of a bench when it is first asked for; kept by name and arguments."""

    @wraps(make)
    def get(bench: Bench, /, *key: P.args, **more: P.kwargs) -> T:
        return bench.once(make.__name__, lambda: make(bench, *key, **more), *key, *more.values())

    return get


class Bench:
    """Reads, predicts and separates, each once, and keeps it."""

    def __init__(self, case: Case, params: DiagnosisParams | None = None) -> None:
        self.case, self.params, self.setup = case, params or DiagnosisParams(), case.setup
        self.failures: dict[int, str] = {}
        """Items that could not be read, predicted or cut, and why."""
        self.found: list[Finding] = []
        """What the checks before this one found."""
        self._kept: dict[Any, Any] = {}
        self._raw: dict[int, RawItem | None] = {}
        self._asked: dict[Any, Maps] = {}

    def again(self, setup: Setup) -> Bench:
        """Return a bench on the same case read in another way; predictions are kept if they can."""
        other = Bench(self.case.with_setup(setup), self.params)
        other._raw, other._asked = self._raw, self._asked
        mine, theirs = self.setup, setup
        changed = {f.name for f in fields(Setup)
                   if getattr(mine, f.name) != getattr(theirs, f.name)}  # fmt: skip
        if changed <= AFTER_MAPS:
            other._kept = {k: v for k, v in self._kept.items() if k[0] in KEPT}
        return other

    def once(self, name: str, make: Callable[[], T], *key: Any) -> T:
        """Return a measurement that several checks share, made when first asked for."""
        if (name, *key) not in self._kept:
            self._kept[name, *key] = make()
        kept: T = self._kept[name, *key]
        return kept

    # ------------------------------------------------------------------ which

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """Items whose arrays are looked at."""
        return tuple(evenly(len(self.case.items or ()), self.params.n_items))

    @cached_property
    def map_indices(self) -> tuple[int, ...]:
        """Items that go through network and separation."""
        return tuple(self.indices[k] for k in evenly(len(self.indices), self.params.n_maps))

    @cached_property
    def variant_indices(self) -> tuple[int, ...]:
        """Items on which what-ifs are tried."""
        some = self.map_indices
        return tuple(some[k] for k in evenly(len(some), self.params.n_variants))

    @property
    def separator(self) -> Separator:
        """The separation as the setup has it; the default where none was given."""
        return (self.case.separator or Separator.of(None)).changed(self.setup)

    # ------------------------------------------------------------------ what

    def raw(self, index: int) -> RawItem | None:
        """Return an item as it was given; None if it cannot be read."""
        if index not in self._raw:
            self._raw[index] = self._tried(index, lambda: self._read(index))
        return self._raw[index]

    @kept
    def item(self, index: int) -> Item | None:
        """Return an item read as the setup says; None if it cannot be read."""
        raw = self._with_its_image(index)
        return None if raw is None else item_of(raw, index, self.setup, self.case.kind)

    @kept
    def maps(self, index: int) -> Maps | None:
        """Return predicted maps (given ones, or the network's), HV read as the setup says."""
        return self._tried(index, lambda: self._predicted(index))

    def instances(self, index: int) -> Int32 | None:
        """Return predicted instances: as given, else cut by the user's separation."""
        raw = self.raw(index)
        if raw is not None and raw.instances is not None and not self.setup.changes:
            given = raw.instances
            return self._tried(index, lambda: compact_ids(np.asarray(given))[0])
        return self._cut(index, False)

    def own_shapes(self, index: int) -> Int32 | None:
        """Return instances cut by the default separation, whatever the user's does."""
        return self._cut(index, True)

    @kept
    def _cut(self, index: int, default: bool) -> Int32 | None:
        maps, separator = self.maps(index), Separator.of(None) if default else self.separator
        return None if maps is None else self._tried(index, lambda: separator.cut(maps))

    @kept
    def box(self, index: int) -> Box | None:
        """Return the part of an item on which what-ifs are tried: where most nuclei are."""
        item = self.item(index)
        shape = None if item is None else item.shape
        return None if item is None or shape is None else busiest(
            item, shape, self.params.variant_edge)  # fmt: skip

    @kept
    def variant(self, index: int, token_prefix: int | None = None) -> Maps | None:
        """Predict the part :meth:`box` of an item, by another token prefix if one is given."""
        return self._tried(index, lambda: self._part(index, prefix=token_prefix), note=False)

    def part_changed(self, index: int, change: Callable[[UInt8], UInt8]) -> Maps | None:
        """Predict a part of an item after any change of its pixels (same shape); not kept."""
        return self._tried(index, lambda: self._part(index, change), note=False)

    # ------------------------------------------------------------------ many

    def items(self) -> Iterator[Item]:
        """Go through all items that can be read."""
        yield from filter(None, map(self.item, self.indices))

    def predictions(self) -> Iterator[tuple[Item, Maps]]:
        """Go through all items that have maps."""
        for index in self.map_indices:
            item, maps = self.item(index), self.maps(index)
            if item is not None and maps is not None:
                yield item, maps

    def score(self, indices: tuple[int, ...] | None = None) -> float:
        """Mean AJI of the instances against the labels, on the what-if images; NaN without."""
        found = []
        for index in self.variant_indices if indices is None else indices:
            item, cut = self.item(index), self.instances(index)
            fits = item is not None and item.labels is not None and cut is not None
            if fits and item.labels.shape == cut.shape and item.labels.any():  # type: ignore[union-attr]
                found.append(aji(contingency(item.labels, cut)))  # type: ignore[union-attr,arg-type]
        return float(np.mean(found)) if found else math.nan

    # ------------------------------------------------------------------ inner

    def _read(self, index: int) -> RawItem:
        if self.case.items is None:
            raise InputError("there are no images.")
        item = self.case.items[index]
        return RawItem(**{"name": item.name, "group": item.group, "split": item.split,
                          **item.read()})  # fmt: skip

    def _with_its_image(self, index: int) -> RawItem | None:
        raw, order = self.raw(index), self.setup.image_order
        if raw is None or order is None or index >= len(order):
            return raw
        other = self.raw(order[index])
        if other is None:
            return raw
        maps = {"np": other.np, "hv": other.hv} if self.case.kind == MAPS else {}
        return replace(raw, image=other.image, features=other.features, **maps)

    def _predicted(self, index: int) -> Maps | None:
        predictor, raw = self.case.predictor, self._with_its_image(index)
        if raw is None:
            return None
        if predictor is None:
            there = self.case.kind == MAPS and raw.hv is not None and raw.np is not None
            return as_set_up(given_maps(raw), self.setup) if there else None
        key = (index, *(getattr(self.setup, name) for name in BEFORE_NETWORK))
        if key not in self._asked:
            self._asked[key] = self._ask(predictor, index)
        return as_set_up(self._asked[key], self.setup)

    def _ask(self, predictor: Predictor, index: int) -> Maps:
        """Send an item through the network."""
        if predictor.reads == "features":
            return self._of_tokens(predictor, index, self.setup.token_prefix)
        item = self.item(index)
        if item is None or item.image is None:
            raise InputError("there is no image for this network.")
        return on_image(predictor, item.image, self.setup.zoom)

    def _of_tokens(self, predictor: Predictor, index: int, prefix: int | None) -> Maps:
        """Predict of tokens; the maps come to the size of what is known of the item."""
        raw, item = self._with_its_image(index), self.item(index)
        if raw is None or raw.features is None:
            raise InputError("there are no tokens for this network.")
        maps = predictor.maps(raw.features, prefix)
        shape = None if item is None else item.shape
        return maps if shape is None else resized_maps(maps, shape)

    def _part(
        self, index: int, change: Callable[[UInt8], UInt8] | None = None, prefix: int | None = None
    ) -> Maps | None:
        predictor, item = self.case.predictor, self.item(index)
        if predictor is None or item is None:
            return None
        if predictor.reads == "features":
            prefix = self.setup.token_prefix if prefix is None else prefix
            return as_set_up(self._of_tokens(predictor, index, prefix), self.setup)
        box = self.box(index)
        if item.image is None or box is None:
            return None
        part = item.image[box[0] : box[1], box[2] : box[3]]
        seen = part if change is None else change(part)
        return as_set_up(on_image(predictor, seen, self.setup.zoom), self.setup)

    def _tried(self, index: int, work: Callable[[], T], *, note: bool = True) -> T | None:
        """Do something with an item; a failure is kept and nothing else stops."""
        try:
            return work()
        except UserError as error:
            text = str(error)
        except MemoryError:
            text = "not enough memory"
        if note:
            self.failures.setdefault(index, text)
        return None


def on_image(predictor: Predictor, image: UInt8, zoom: float = 1.0) -> Maps:
    """Predict an image that is resized first; the maps come back to its size."""
    seen: Any = image
    if zoom != 1.0:
        size = tuple(max(round(n * zoom), 1) for n in image.shape[1::-1])
        how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
        seen = cv2.resize(np.ascontiguousarray(image), size, interpolation=how)
    maps = predictor.maps(np.ascontiguousarray(seen))
    return resized_maps(maps, (int(image.shape[0]), int(image.shape[1])))


def resized_maps(maps: Maps, shape: tuple[int, int]) -> Maps:
    """Bring maps to another size; HV takes the nearest value, so that its jumps stay sharp."""
    if maps.shape == shape:
        return maps

    def to(planes: Any, how: int) -> Float32:
        return np.stack([cv2.resize(p, shape[::-1], interpolation=how) for p in planes])

    prob = np.clip(to([maps.np], cv2.INTER_LINEAR)[0], 0, 1)
    types = None if maps.types is None else to(maps.types, cv2.INTER_LINEAR)
    return Maps(np=prob, hv=to(maps.hv, cv2.INTER_NEAREST), types=types)


def given_maps(raw: RawItem) -> Maps:
    """Read predicted maps as somebody's program wrote them: logits, bytes, percent, 127ths."""
    try:
        stored = channel_first(np.asarray(raw.hv))
    except ValueError as error:
        raise InputError(f"{raw.name}: hv has {error}.") from error
    hv = stored.astype(np.float32)
    if stored.dtype.kind in "iu":
        hv /= np.float32(127)
    return Maps(np=probability(np.asarray(raw.np)), hv=hv)


def as_set_up(maps: Maps, setup: Setup) -> Maps:
    """Read maps as the setup says: channel, order, sign, length, place."""
    hv = read_hv(maps, HVReading(setup.hv_order, setup.hv_sign)).hv * np.float32(setup.hv_scale)
    prob = 1 - maps.np if setup.np_channel == 0 else maps.np
    if any(setup.maps_turn):
        turn = Turn(bool(setup.maps_turn[0]), int(setup.maps_turn[1]))
        prob, hv = np.ascontiguousarray(turn_plane(prob, turn)), turn_hv(hv, turn)
    if any(setup.maps_shift):
        prob, hv = np.roll(prob, setup.maps_shift, (0, 1)), np.roll(hv, setup.maps_shift, (1, 2))
    return Maps(np=prob, hv=hv, types=maps.types)


def probability(given: npt.NDArray[Any]) -> Float32:
    """Return NP as a probability; logits go through a sigmoid, bytes are divided by 255."""
    values = np.asarray(given, np.float32)
    if not values.size:
        return values
    low, high = float(values.min()), float(values.max())
    if low >= -1e-3 and high <= 1 + 1e-3:  # rounding
        return np.clip(values, 0, 1)
    if low >= 0 and high <= 255:  # logits are negative, too
        return values / np.float32(scale_of(given))
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))), np.float32)


def scale_of(given: npt.NDArray[Any]) -> float:
    """By what NP of 0 and more has to be divided: bytes, or percent."""
    return 255.0 if given.dtype.kind in "iu" or float(given.max()) > 101 else 100.0


def channel_first(hv: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return HV as (2, H, W), whichever end the channels stand at."""
    if hv.ndim != 3 or 2 not in (hv.shape[0], hv.shape[-1]):
        raise ValueError(f"shape {hv.shape}; HV is (2, H, W)")
    return hv if hv.shape[0] == 2 else np.moveaxis(hv, -1, 0)


def item_of(raw: RawItem, index: int, setup: Setup, kind: str) -> Item:
    """Read one item as the setup says; ``kind`` is what its np and hv are."""
    problems: list[str] = []
    readers: dict[str, Callable[[Any, Setup, list[str]], Any]] = {
        "image": _image, "labels": _labels, "types": _types}  # fmt: skip
    arrays = {"image": raw.image, "labels": raw.labels, "types": raw.types}
    if kind == TARGETS:
        readers |= {"target_np": _target_np, "target_hv": _target_hv}
        arrays |= {"target_np": raw.np, "target_hv": raw.hv}
    made: dict[str, Any] = {}
    for name, array in arrays.items():
        if array is None:
            continue
        try:
            made[name] = readers[name](array, setup, problems)
        except (UserError, ValueError, TypeError, IndexError, OverflowError) as error:
            problems.append(f"{name}: {error}")
    return Item(index, raw.name, problems=tuple(problems), **made)


def _image(array: Any, setup: Setup, problems: list[str]) -> UInt8:
    given = np.asarray(array)
    if setup.input_factor != 1.0 or setup.input_gamma != 1.0:
        values = given.astype(np.float32) * np.float32(setup.input_factor)
        values = 255 * np.clip(values / 255, 0, 1) ** np.float32(setup.input_gamma)
        given = np.rint(values).astype(np.uint8)
    source = as_source(given)
    problems.extend(f"image: {note}" for note in source.notes)
    pixels = source.read(0, source.shape[0], 0, source.shape[1])
    return np.ascontiguousarray(pixels[..., ::-1]) if setup.channel_order == "bgr" else pixels


def _labels(array: Any, setup: Setup, problems: list[str]) -> Int32:
    given = np.asarray(array)
    truth = check_truth(given, (int(given.shape[-2]), int(given.shape[-1])))
    problems.extend(f"labels: {note}" for note in truth.notes)
    placed: Int32 = placed_as(truth.labels, setup)
    return placed


def _types(array: Any, setup: Setup, _: list[str]) -> npt.NDArray[Any]:
    given = np.asarray(array)
    if given.dtype.kind not in "iub" or given.ndim != 2:
        raise ValueError(f"dtype {given.dtype}, shape {given.shape}; types are whole (H, W)")
    types = given.astype(np.int32)
    if setup.type_offset:
        types = np.where(types > 0, np.maximum(types + setup.type_offset, 0), 0)
    plane: npt.NDArray[Any] = placed_as(types, setup)
    return plane


def _target_np(array: Any, setup: Setup, problems: list[str]) -> npt.NDArray[np.uint8]:
    given = np.asarray(array)
    if given.ndim != 2 or (given.dtype.kind == "f" and not np.isfinite(given).all()):
        raise ValueError(f"shape {given.shape}; NP is (H, W) and finite")
    if len(np.unique(given[:: max(given.shape[0] // 64, 1)])) > 2:
        problems.append("np: is not 0 and 1 only; above 0 counts as nucleus")
    return ((given > 0) ^ (setup.np_channel == 0)).astype(np.uint8)


def _target_hv(array: Any, setup: Setup, problems: list[str]) -> Float32:
    given = channel_first(np.asarray(array))
    if given.dtype.kind not in "iuf":
        raise ValueError(f"dtype {given.dtype}; HV is float, or whole numbers of -127..127")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        problems.append("hv: holds NaN or infinite values, taken for 0")
        given = np.nan_to_num(given, nan=0.0, posinf=0.0, neginf=0.0)
    return read_stored(given, setup.target_order, setup.target_sign, setup.target_divisor)


def placed_as(plane: Any, setup: Setup) -> Any:
    """Turn, resize and move labels or types onto their image; what comes in from outside is 0."""
    if any(setup.labels_turn):
        plane = turn_plane(plane, Turn(bool(setup.labels_turn[0]), int(setup.labels_turn[1])))
    if setup.labels_zoom != 1.0:
        plane = zoomed_about_centre(plane, setup.labels_zoom)
    if any(setup.labels_shift):
        plane = shifted(plane, setup.labels_shift)
    return np.ascontiguousarray(plane)


def zoomed_about_centre(plane: Any, factor: float) -> Any:
    """Resize ids about the centre of the plane, by the nearest pixel; 0 comes in."""
    height, width = plane.shape
    rows, cols = (np.rint((np.arange(n) - (n - 1) / 2) / factor + (n - 1) / 2).astype(int)
                  for n in (height, width))  # fmt: skip
    inside = ((rows >= 0) & (rows < height))[:, None] & ((cols >= 0) & (cols < width))
    return np.where(inside, plane[rows.clip(0, height - 1)][:, cols.clip(0, width - 1)], 0)


def shifted(plane: Any, shift: tuple[int, int]) -> Any:
    """Move the last two axes by rows and columns; 0 comes in."""
    out = np.zeros_like(plane)
    (r, c), (height, width) = shift, plane.shape[-2:]
    if abs(r) < height and abs(c) < width:
        to = (..., slice(max(r, 0), height + min(r, 0)), slice(max(c, 0), width + min(c, 0)))
        of = (..., slice(max(-r, 0), height + min(-r, 0)), slice(max(-c, 0), width + min(-c, 0)))
        out[to] = plane[of]
    return out


def busiest(item: Item, shape: tuple[int, int], edge: int) -> Box:
    """Return the square part of an item with most nucleus pixels (dark ones without labels)."""
    height, width = shape
    if height <= edge and width <= edge:
        return (0, height, 0, width)
    weight: Any = np.ones(shape, np.float32)
    if item.labels is not None:
        weight = (item.labels > 0).astype(np.float32)
    elif item.image is not None:
        weight = 255.0 - item.image.mean(axis=2, dtype=np.float32)
    h, w = min(edge, height), min(edge, width)
    total = cv2.integral(weight)
    sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    step = (max((height - h) // 8, 1), max((width - w) // 8, 1))
    coarse = sums[:: step[0], :: step[1]]
    r, c = (int(k) * s for k, s in zip(np.unravel_index(coarse.argmax(), coarse.shape), step,
                                       strict=True))  # fmt: skip
    return (r, r + h, c, c + w)
