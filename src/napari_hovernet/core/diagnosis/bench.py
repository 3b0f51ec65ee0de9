"""What the checks work on: everything is read, predicted and cut once, when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from ...errors import InputError, UserError
from ..hv import compact_ids
from ..inference.images import UInt8
from ..types import Int32, Maps
from .case import MAPS, Case, RawItem
from .given_maps import given_maps, hv_as_meant
from .items import Item, item_of
from .params import DiagnosisParams
from .predicting import TOKENS, Predictor, resized_maps
from .separating import Separator
from .setup import Setup


@dataclass(frozen=True)
class Variant:
    """A what-if: how the image goes into the network, beside what the setup says.

    Parameters
    ----------
    bgr : bool
        Red and blue are swapped.
    factor : float
        Values are multiplied by this and cut to 0..255.
    zoom : float
        The image is resized by this, and the maps back.
    flip : bool
        The image is mirrored left to right, and the maps back (HV too).
    token_prefix : int, optional
        For token decoders.

    Examples
    --------
    >>> Variant(bgr=True) == Variant()
    False
    """

    bgr: bool = False
    factor: float = 1.0
    zoom: float = 1.0
    flip: bool = False
    token_prefix: int | None = None


PLAIN = Variant()
AFTER_MAPS = frozenset({
    "separation", "np_threshold", "target_order", "target_sign", "target_divisor", "type_offset",
    "labels_turn", "labels_shift",
})  # fmt: skip
"""Fields of the setup that change neither what the network gets nor how its maps are read."""
BEFORE_NETWORK = ("zoom", "channel_order", "input_factor", "image_order", "token_prefix")
"""Fields that change what the network is given; maps of any others are kept."""
AFTER_PARTS = AFTER_MAPS - {"labels_turn", "labels_shift"}
"""Those that do not change either on which part of an image what-ifs are tried."""
Box = tuple[int, int, int, int]


class Bench:
    """Reads, predicts and separates, each once, and keeps it.

    Parameters
    ----------
    case : Case
    params : DiagnosisParams, optional

    Examples
    --------
    >>> from napari_hovernet.core.diagnosis.case import ArrayItems
    >>> bench = Bench(Case(ArrayItems(labels=np.eye(64, dtype=int))))
    >>> bench.item(0).labels.max()
    1
    """

    def __init__(self, case: Case, params: DiagnosisParams | None = None) -> None:
        self.case, self.params = case, params or DiagnosisParams()
        self.setup = case.setup
        self.failures: dict[int, str] = {}
        """Items that could not be read, predicted or cut, and why."""
        self.kept: dict[str, Any] = {}
        """Measurements that several checks share, by a name of their module's."""
        self._raw: dict[int, RawItem | None] = {}
        self._items: dict[int, Item | None] = {}
        self._maps: dict[int, Maps | None] = {}
        self._asked: dict[tuple[Any, ...], Maps] = {}
        self._cut: dict[tuple[int, str], Int32 | None] = {}
        self._variants: dict[tuple[int, Variant], Maps | None] = {}
        self._boxes: dict[int, Box | None] = {}

    def again(self, setup: Setup) -> Bench:
        """Return a bench on the same case, read in another way.

        Arrays are not read again, and predicted maps are kept where the change does not
        concern them.
        """
        other = Bench(self.case.with_setup(setup), self.params)
        other._raw, other._asked = self._raw, self._asked
        unread = [i for i, raw in self._raw.items() if raw is None]
        other.failures = {i: self.failures[i] for i in unread if i in self.failures}
        changed = {
            f.name for f in fields(Setup) if getattr(setup, f.name) != getattr(self.setup, f.name)
        }
        if changed <= AFTER_MAPS:
            other._maps, other.failures = self._maps, dict(self.failures)
        if changed <= AFTER_PARTS:
            other._variants, other._boxes = self._variants, self._boxes
        return other

    # ------------------------------------------------------------------ which

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """Items whose arrays are looked at."""
        n = 0 if self.case.items is None else len(self.case.items.names)
        return _spread(tuple(range(n)), self.params.n_items)

    @cached_property
    def map_indices(self) -> tuple[int, ...]:
        """Items that go through network and separation."""
        return _spread(self.indices, self.params.n_maps)

    @cached_property
    def variant_indices(self) -> tuple[int, ...]:
        """Items on which what-ifs are tried."""
        return _spread(self.map_indices, self.params.n_variants)

    @property
    def separator(self) -> Separator:
        """The separation as the setup has it; the default where none was given."""
        given = self.case.separator or Separator.of(None)
        return given.changed(self.setup.separation, self.setup.np_threshold)

    # ------------------------------------------------------------------ what

    def raw(self, index: int) -> RawItem | None:
        """Return an item as it was given; None if it cannot be read."""
        if index not in self._raw:
            self._raw[index] = self._tried(index, lambda: self._read(index))
        return self._raw[index]

    def item(self, index: int) -> Item | None:
        """Return an item read as the setup says; None if it cannot be read."""
        if index not in self._items:
            raw = self._with_its_image(index)
            made = None if raw is None else item_of(raw, index, self.setup, self.case.kind)
            self._items[index] = made
        return self._items[index]

    def maps(self, index: int) -> Maps | None:
        """Return predicted maps (given ones, or the network's), HV read as the setup says."""
        if index not in self._maps:
            self._maps[index] = self._tried(index, lambda: self._predicted(index))
        return self._maps[index]

    def instances(self, index: int) -> Int32 | None:
        """Return predicted instances: as given, else cut by the user's separation."""
        raw = self.raw(index)
        untouched = not self.setup.changes
        if raw is not None and raw.instances is not None and untouched:
            given = raw.instances
            found: Int32 | None = self._tried(index, lambda: compact_ids(np.asarray(given))[0])
            return found
        return self.cut(index, self.separator, "asked")

    def own_shapes(self, index: int) -> Int32 | None:
        """Return instances cut by the default separation, whatever the user's does."""
        return self.cut(index, Separator.of(None), "default")

    def cut(self, index: int, separator: Separator, key: str) -> Int32 | None:
        """Cut an item's maps; ``key`` names the separation in the cache."""
        if (index, key) not in self._cut:
            maps = self.maps(index)
            made = None if maps is None else self._tried(index, lambda: separator.cut(maps))
            self._cut[index, key] = made
        return self._cut[index, key]

    def box(self, index: int) -> Box | None:
        """Return the part of an item on which what-ifs are tried: where most nuclei are."""
        if index not in self._boxes:
            item = self.item(index)
            shape = None if item is None else item.shape
            self._boxes[index] = None
            if item is not None and shape is not None:
                self._boxes[index] = busiest(item, shape, self.params.variant_edge)
        return self._boxes[index]

    def variant(self, index: int, variant: Variant = PLAIN) -> Maps | None:
        """Predict a part of an item (see :meth:`box`) under a what-if.

        The network alone is asked, given maps are not looked at. Maps have the size of the
        part, HV is read as the setup says.
        """
        if (index, variant) not in self._variants:
            made = self._tried(index, lambda: self._vary(index, variant), note=False)
            self._variants[index, variant] = made
        return self._variants[index, variant]

    def part_changed(
        self, index: int, change: Callable[[UInt8], UInt8], other: Predictor | None = None
    ) -> Maps | None:
        """Predict a part of an item after any change of its pixels; not kept.

        Parameters
        ----------
        index : int
        change : callable
            uint8 (h, w, 3) -> the same shape and type.
        other : Predictor, optional
            Instead of the network under diagnosis.
        """
        used = other or self.case.predictor
        made: Maps | None
        made = self._tried(index, lambda: self._change(index, change, used), note=False)
        return made

    # ------------------------------------------------------------------ many

    def items(self) -> Iterator[Item]:
        """Go through all items that can be read."""
        for index in self.indices:
            item = self.item(index)
            if item is not None:
                yield item

    def predictions(self) -> Iterator[tuple[Item, Maps]]:
        """Go through all items that have maps."""
        for index in self.map_indices:
            item, maps = self.item(index), self.maps(index)
            if item is not None and maps is not None:
                yield item, maps

    # ------------------------------------------------------------------ inner

    def _read(self, index: int) -> RawItem:
        if self.case.items is None:
            raise InputError("there are no images.")
        return self.case.items.read(index)

    def _with_its_image(self, index: int) -> RawItem | None:
        raw, order = self.raw(index), self.setup.image_order
        if raw is None or order is None or index >= len(order):
            return raw
        other = self.raw(order[index])
        return raw if other is None else _replaced(raw, image=other.image)

    def _predicted(self, index: int) -> Maps | None:
        predictor, raw = self.case.predictor, self._with_its_image(index)
        if raw is None:
            return None
        if predictor is None:
            if self.case.kind != MAPS or raw.hv is None or raw.np is None:
                return None
            return given_maps(raw, self.setup)
        key = (index, *(getattr(self.setup, name) for name in BEFORE_NETWORK))
        if key not in self._asked:
            self._asked[key] = self._ask(predictor, index)
        return self._as_set_up(self._asked[key])

    def _ask(self, predictor: Predictor, index: int) -> Maps:
        """Send an item through the network."""
        if predictor.reads == TOKENS:
            return self._of_tokens(predictor, index, self.setup.token_prefix)
        item = self.item(index)
        if item is None or item.image is None:
            raise InputError("there is no image for this network.")
        return self._on_image(item.image, Variant(zoom=self.setup.zoom))

    def _of_tokens(self, predictor: Predictor, index: int, prefix: int | None) -> Maps:
        """Predict of tokens; the maps come to the size of what is known of the item."""
        raw, item = self.raw(index), self.item(index)
        if raw is None or raw.features is None:
            raise InputError("there are no tokens for this network.")
        maps = predictor.maps(raw.features, prefix)
        shape = None if item is None else item.shape
        return maps if shape is None else resized_maps(maps, shape)

    def _as_set_up(self, maps: Maps) -> Maps:
        setup = self.setup
        if setup.np_channel == 0:
            maps = Maps(np=1 - maps.np, hv=maps.hv, types=maps.types)
        maps = hv_as_meant(maps, setup)
        if any(setup.maps_shift):
            rolled = np.roll(maps.hv, setup.maps_shift, (1, 2))
            maps = Maps(np=np.roll(maps.np, setup.maps_shift, (0, 1)), hv=rolled)
        return maps

    def _vary(self, index: int, variant: Variant) -> Maps | None:
        predictor, item = self.case.predictor, self.item(index)
        if predictor is None or item is None:
            return None
        if predictor.reads == TOKENS:
            prefix = variant.token_prefix
            used = self.setup.token_prefix if prefix is None else prefix
            return self._as_set_up(self._of_tokens(predictor, index, used))
        box = self.box(index)
        if item.image is None or box is None:
            return None
        r0, r1, c0, c1 = box
        zoom = Variant(variant.bgr, variant.factor, variant.zoom * self.setup.zoom, variant.flip)
        return self._as_set_up(self._on_image(item.image[r0:r1, c0:c1], zoom))

    def _change(
        self, index: int, change: Callable[[UInt8], UInt8], predictor: Predictor | None
    ) -> Maps | None:
        item, box = self.item(index), self.box(index)
        if item is None or item.image is None or box is None or predictor is None:
            return None
        r0, r1, c0, c1 = box
        part = change(item.image[r0:r1, c0:c1])
        return self._as_set_up(self._on_image(part, Variant(zoom=self.setup.zoom), predictor))

    def _on_image(self, image: UInt8, variant: Variant, other: Predictor | None = None) -> Maps:
        """Predict an image under a what-if; the maps come back to its size."""
        predictor = other or self.case.predictor
        if predictor is None:
            raise InputError("there is no network.")
        height, width = image.shape[:2]
        seen: Any = image[..., ::-1] if variant.bgr else image
        if variant.factor != 1.0:
            seen = np.clip(np.rint(seen * np.float32(variant.factor)), 0, 255).astype(np.uint8)
        if variant.flip:
            seen = seen[:, ::-1]
        if variant.zoom != 1.0:
            size = (max(round(width * variant.zoom), 1), max(round(height * variant.zoom), 1))
            how = cv2.INTER_AREA if variant.zoom < 1 else cv2.INTER_CUBIC
            seen = cv2.resize(np.ascontiguousarray(seen), size, interpolation=how)
        maps = predictor.maps(np.ascontiguousarray(seen))
        prob: Any = maps.np
        hv: Any = maps.hv
        if variant.zoom != 1.0:
            prob = cv2.resize(prob, (width, height), interpolation=cv2.INTER_LINEAR)
            planes = [cv2.resize(p, (width, height), interpolation=cv2.INTER_NEAREST) for p in hv]
            hv = np.stack(planes)
        if variant.flip:
            sign = [-1, 1] if self.setup.hv_order == "hv" else [1, -1]
            prob = prob[:, ::-1]
            hv = hv[:, :, ::-1] * np.array(sign, np.float32)[:, None, None]
        plain = variant.zoom == 1.0 and not variant.flip
        return maps if plain else Maps(np=np.clip(prob, 0, 1), hv=hv)

    def _tried(self, index: int, work: Any, *, note: bool = True) -> Any:
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


def busiest(item: Item, shape: tuple[int, int], edge: int) -> Box:
    """Return the square part of an item with most nucleus pixels (dark ones without labels)."""
    height, width = shape
    if height <= edge and width <= edge:
        return (0, height, 0, width)
    if item.labels is not None:
        weight = (item.labels > 0).astype(np.float32)
    elif item.image is not None:
        weight = 255.0 - item.image.mean(axis=2, dtype=np.float32)
    else:
        weight = np.ones(shape, np.float32)
    h, w = min(edge, height), min(edge, width)
    total = cv2.integral(weight)
    rows = range(0, height - h + 1, max((height - h) // 8, 1))
    cols = range(0, width - w + 1, max((width - w) // 8, 1))
    r, c = max(
        ((r, c) for r in rows for c in cols),
        key=lambda at: float(
            total[at[0] + h, at[1] + w]
            - total[at[0], at[1] + w]
            - total[at[0] + h, at[1]]
            + total[at[0], at[1]]
        ),
    )
    return (r, r + h, c, c + w)


def _spread(indices: tuple[int, ...], n: int) -> tuple[int, ...]:
    n = min(n, len(indices))
    return tuple(indices[k * len(indices) // n] for k in range(n))


def _replaced(raw: RawItem, **changes: Any) -> RawItem:
    return RawItem(**{**vars(raw), **changes})
