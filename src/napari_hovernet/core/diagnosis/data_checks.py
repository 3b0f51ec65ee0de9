"""Checks of images, labels and types: what is collected from the bench for each."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.samples import Print
from ..types import Float32, Int32, Progress
from . import data_copies, data_cover, data_files, data_instances, data_place_words, data_types
from .bench import Bench
from .data_common import count_ids, each_item, kept, not_tested, nucleus_mask, spread, whole
from .data_cover import Cover
from .data_likeness import haematoxylin, likeness
from .data_limits import LIMITS
from .data_places import Placement, Where, judge_place, place_steps
from .data_register import Pair, pair_of
from .data_shapes import Shapes, shapes_of
from .items import Item
from .registry import Check, Steps
from .report import Place

RUN = 8
"""Images that follow one another in the sample that is compared with its labels."""

# --- measured once ---------------------------------------------------------------------


def _covers(bench: Bench) -> Generator[Progress, None, tuple[Cover, ...]]:
    found = []
    compared = set(spread(bench.indices, LIMITS.register_items))
    for progress, item in each_item(bench, "Looking at coverage"):
        yield progress
        inside = None if item is None else nucleus_mask(item)
        if item is None or inside is None or not inside.size:
            continue
        density = None
        if item.image is not None and item.index in compared:
            density = haematoxylin(item.image)
        if item.labels is None and item.target_np is None and bench.case.kind != "targets":
            continue
        found.append(data_cover.cover_of(item.index, item.name, inside, item.labels, density))
    return tuple(found)


def _shapes(bench: Bench) -> Generator[Progress, None, tuple[Shapes, ...]]:
    found = []
    for progress, item in each_item(bench, "Looking at shapes", LIMITS.register_items):
        yield progress
        if item is None or item.labels is None or not item.labels.any():
            continue
        raw = bench.raw(item.index)
        byte = raw is not None and getattr(raw.labels, "dtype", None) == np.uint8
        hv = unit_hv(item)
        found.append(shapes_of(item.index, item.name, item.labels, hv, byte))
    return tuple(found)


def unit_hv(item: Item) -> Float32 | None:
    """Return stored HV divided by the largest value it reaches; None where it is of no use."""
    if item.target_hv is None or item.target_hv.size == 0:
        return None
    largest = float(np.percentile(np.abs(item.target_hv), 99.9))
    return np.asarray(item.target_hv / largest, np.float32) if largest > 0 else None


def placement(bench: Bench) -> Generator[Progress, None, tuple[Placement, Where, str]]:
    """Compare images with their labels; returns also why not, "" if it was done."""
    pairs, dull = [], 0
    indices = runs(bench.indices, LIMITS.register_items)
    for number, index in enumerate(indices):
        yield Progress(number, len(indices), "Comparing labels with images")
        item = bench.item(index)
        if item is None or item.image is None or item.labels is None or not item.labels.any():
            continue
        if (item.labels > 0).mean() > LIMITS.constant:
            continue
        alike = likeness(item.image)
        if alike.contrast < LIMITS.contrast:
            dull += 1
            continue
        pairs.append(_pair(item, alike.plane, item.labels))
    placed = yield from place_steps(pairs, "Moving and turning labels")
    why = "" if pairs else "images show too little" if dull else "there are no images with nuclei"
    return placed, judge_place(placed), why


def _pair(item: Item, plane: Float32, labels: Int32) -> Pair:
    return pair_of(item.index, item.name, plane, labels > 0, count_ids(labels))


def runs(indices: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """Return at most ``limit`` of them, in runs of neighbours.

    Examples
    --------
    >>> runs(tuple(range(100)), 16)
    (0, 1, 2, 3, 4, 5, 6, 7, 50, 51, 52, 53, 54, 55, 56, 57)
    """
    if len(indices) <= limit:
        return indices
    starts = [k * len(indices) // (limit // RUN) for k in range(limit // RUN)]
    return tuple(sorted({i for s in starts for i in indices[s : s + RUN]}))


def _prints(bench: Bench) -> Generator[Progress, None, tuple[tuple[Print, ...], tuple[Place, ...]]]:
    prints, places = [], []
    for progress, item in each_item(bench, "Taking prints of images"):
        yield progress
        raw = None if item is None else bench.raw(item.index)
        if item is None or raw is None:
            continue
        made = data_copies.image_print(
            item.name, f"{raw.split}\0{raw.group}", item.image, raw.features
        )
        if made is not None:
            prints.append(made)
            places.append(whole(item))
    return tuple(prints), tuple(places)


def _type_looks(
    bench: Bench,
) -> Generator[Progress, None, tuple[data_types.TypeLook, ...]]:
    found = []
    for progress, item in each_item(bench, "Counting types"):
        yield progress
        if item is None or item.types is None:
            continue
        labels = item.labels if _fits(item.labels, item.types) else None
        nucleus = None if labels is None else labels > 0
        if nucleus is None and _fits(item.target_np, item.types):
            nucleus = np.asarray(item.target_np) > 0
        found.append(data_types.look_at_types(item.index, item.name, item.types, nucleus, labels))
    return tuple(found)


def _image_looks(
    bench: Bench,
) -> Generator[Progress, None, tuple[data_files.ImageLook, ...]]:
    found = []
    for progress, item in each_item(bench, "Looking at images"):
        yield progress
        raw = None if item is None else bench.raw(item.index)
        look = None if item is None or raw is None else data_files.look_at_image(item, raw.image)
        if look is not None:
            found.append(look)
    return tuple(found)


def _fits(plane: object, other: npt.NDArray[Any]) -> bool:
    return getattr(plane, "shape", None) == other.shape


# --- checks ----------------------------------------------------------------------------


def _run_files(bench: Bench) -> Steps:
    names = () if bench.case.items is None else bench.case.items.names
    looks = []
    for number, index in enumerate(bench.indices):
        yield Progress(number, len(bench.indices), "Reading")
        item = bench.item(index)
        raw, why = bench.raw(index), bench.failures.get(index, "")
        looks.append(data_files.look_at_files(names[index], raw, item, bench.case, why))
    yield data_files.files(looks)


def _run_images(bench: Bench) -> Steps:
    looks = yield from kept(bench, "data.image_looks", _image_looks)
    yield data_files.images(looks)


def _run_channel_order(bench: Bench) -> Steps:
    looks = yield from kept(bench, "data.image_looks", _image_looks)
    yield data_files.channel_order(looks)


def _run_empty(bench: Bench) -> Steps:
    yield data_cover.empty((yield from kept(bench, "data.covers", _covers)))


def _run_coverage(bench: Bench) -> Steps:
    yield data_cover.coverage((yield from kept(bench, "data.covers", _covers)))


def _run_background(bench: Bench) -> Steps:
    yield data_cover.background((yield from kept(bench, "data.covers", _covers)))


def _run_components(bench: Bench) -> Steps:
    shapes = yield from kept(bench, "data.shapes", _shapes)
    places = data_instances.lump_places(shapes, bench.params.n_places)
    yield data_instances.components(shapes, places)


def _run_masks(bench: Bench) -> Steps:
    yield data_instances.masks((yield from kept(bench, "data.shapes", _shapes)))


def _run_touching(bench: Bench) -> Steps:
    yield data_instances.touching((yield from kept(bench, "data.shapes", _shapes)))


def _run_fragments(bench: Bench) -> Steps:
    yield data_instances.fragments((yield from kept(bench, "data.shapes", _shapes)))


def _run_shift(bench: Bench) -> Steps:
    placed, where, why = yield from kept(bench, "data.placement", placement)
    if why:
        yield not_tested("data.shift", "Position of labels on their image", why)
        return
    yield data_place_words.shift_finding(where, placed, _places(bench, placed, where))


def _run_flip(bench: Bench) -> Steps:
    placed, where, why = yield from kept(bench, "data.placement", placement)
    if why:
        yield not_tested("data.flip", "Flips and turns of labels against their image", why)
        return
    yield data_place_words.flip_finding(where, placed, bench.setup, _places(bench, placed, where))


def _run_pairing(bench: Bench) -> Steps:
    placed, where, why = yield from kept(bench, "data.placement", placement)
    if why:
        yield not_tested("data.pairing", "Labels on their own image", why)
        return
    n = 0 if bench.case.items is None else len(bench.case.items.names)
    places = _places(bench, placed, where)
    yield data_place_words.pairing_finding(where, placed, bench.setup, n, places)


def _places(bench: Bench, placed: Placement, where: Where) -> list[Place]:
    """Return images to look at: those that are odd, or of another image, first."""
    moved = [i for i, j in enumerate(where.order) if i != j]
    which = list(where.odd) or list(where.turned) or moved or list(range(len(placed.pairs)))
    items = [bench.item(placed.pairs[i].index) for i in which[: bench.params.n_places]]
    return [whole(item) for item in items if item is not None]


def _run_leak(bench: Bench) -> Steps:
    prints, places = yield from kept(bench, "data.prints", _prints)
    title = "Images on both sides of the split"
    if not prints:
        yield not_tested("data.leak", title, "give images")
        return
    held: list[Print] = []
    source = bench.case.held_out
    if source is not None:
        for number, index in enumerate(spread(range(len(source.names)), bench.params.n_items)):
            yield Progress(number, len(source.names), "Comparing with the other side")
            made = _held_print(bench, index)
            held += [] if made is None else [made]
        sides = [(p, p.group.partition("\0")[2]) for p in prints]
        train = [Print(p.name, g, p.digest, p.pattern, p.thumb) for p, g in sides]
    else:
        train, held = _sides(prints)
        if not train or not held:
            yield not_tested("data.leak", title, "give images of the other side of the split")
            return
    yield data_copies.leak(train, held, places)


def _held_print(bench: Bench, index: int) -> Print | None:
    from ...errors import UserError  # noqa: PLC0415 - beside its only use
    from .items import item_of  # noqa: PLC0415

    source = bench.case.held_out
    if source is None:
        return None
    try:
        raw = source.read(index)
    except UserError:
        return None
    item = item_of(raw, index, bench.setup, bench.case.kind)
    return data_copies.image_print(raw.name, raw.group, item.image, raw.features)


def _sides(prints: tuple[Print, ...]) -> tuple[list[Print], list[Print]]:
    """Divide prints by the split that the data name."""
    train: list[Print] = []
    held: list[Print] = []
    for p in prints:
        split, _, group = p.group.partition("\0")
        side = held if split == "val" else train
        side.append(Print(p.name, group, p.digest, p.pattern, p.thumb))
    return train, held


def _run_duplicates(bench: Bench) -> Steps:
    prints, places = yield from kept(bench, "data.prints", _prints)
    if not prints:
        yield not_tested("data.duplicates", "Images that are there twice", "give images")
        return
    yield data_copies.duplicates(prints, places)


def _run_types(bench: Bench) -> Steps:
    looks = yield from kept(bench, "data.type_looks", _type_looks)
    yield data_types.types(looks, bench.case.n_types)


def _run_type_conflict(bench: Bench) -> Steps:
    yield data_types.type_conflict((yield from kept(bench, "data.type_looks", _type_looks)))


def _run_type_histogram(bench: Bench) -> Steps:
    looks = yield from kept(bench, "data.type_looks", _type_looks)
    yield data_types.type_histogram(looks, bench.case.n_types)


LABELLED = ("labels",)
BOTH = ("image", "labels")

CHECKS: tuple[Check, ...] = (
    Check("data.files", "Files and sizes", (), _run_files),
    Check("data.empty", "Empty images", (), _run_empty),
    Check("data.coverage", "Share of nucleus pixels", (), _run_coverage),
    Check("data.background", "Nuclei, not background, are labelled", (), _run_background),
    Check("data.types", "Numbers of types", ("types",), _run_types),
    Check("data.type_conflict", "Types against labels", ("types",), _run_type_conflict),
    Check("data.type_histogram", "Nuclei of each type", ("types",), _run_type_histogram),
    Check("data.images", "What is in the images", ("image",), _run_images),
    Check("data.channel_order", "Red and blue of the images", BOTH, _run_channel_order),
    Check("data.masks", "Semantic masks in place of instances", LABELLED, _run_masks),
    Check("data.components", "Instances against connected components", LABELLED, _run_components),
    Check("data.touching", "Touching nuclei", LABELLED, _run_touching),
    Check("data.fragments", "Specks, pieces and holes of labels", LABELLED, _run_fragments),
    Check("data.shift", "Position of labels on their image", BOTH, _run_shift),
    Check("data.flip", "Flips and turns of labels against their image", BOTH, _run_flip),
    Check("data.pairing", "Labels on their own image", BOTH, _run_pairing),
    Check("data.duplicates", "Images that are there twice", (), _run_duplicates),
    Check("data.leak", "Images on both sides of the split", (), _run_leak),
)
