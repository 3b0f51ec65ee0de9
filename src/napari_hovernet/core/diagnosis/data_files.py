"""Whether images and labels can be read at all, and what is in the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .case import TARGETS, Case, RawItem
from .data_common import listed, not_tested, percent, scaled, size_of
from .data_focus import Focus, focus_finding, focus_of
from .data_likeness import DENSITY, contrast_inside
from .data_limits import LIMITS, DataLimits
from .items import Item
from .report import FAULT, OK, WARN, Finding, Place, Remedy

READ_AS = {
    "image": "image",
    "labels": "labels",
    "types": "types",
    "np": "target_np",
    "hv": "target_hv",
}
"""Field of the raw item -> field of the item that is read from it."""
RED, BLUE = 0, 2
WHITE = 255
SAMPLE = 256
"""Pixels along an edge that are looked at for spread and colour."""
HALF = 0.5
"""Share of the images that decides."""
CHANNELS = 2


@dataclass(frozen=True)
class FileLook:
    """What is wrong with the arrays of one image.

    Parameters
    ----------
    name : str
    unusable : str
        Why (some of) it cannot be used, "" if it can.
    sizes : str
        Sizes, if they differ.
    notes : tuple of str
        What was assumed: 16-bit floats, channels first ...
    """

    name: str
    unusable: str = ""
    sizes: str = ""
    notes: tuple[str, ...] = ()


def look_at_files(
    name: str, raw: RawItem | None, item: Item | None, case: Case, why: str = ""
) -> FileLook:
    """Look at what was given for one image.

    Parameters
    ----------
    name : str
    raw, item
        As given and as read; None if it cannot be read.
    case : Case
        What the arrays are, and how they are read.
    why : str
        The reason if it cannot be read.
    """
    if raw is None or item is None:
        return FileLook(name, why or "cannot be read")
    lost = [
        field
        for field, read in READ_AS.items()
        if getattr(raw, field) is not None
        and getattr(item, read) is None
        and (case.kind == TARGETS or field not in ("np", "hv"))
    ]
    objects = [f for f in READ_AS if getattr(getattr(raw, f), "dtype", None) == np.dtype(object)]
    said = [p for p in item.problems if p.partition(":")[0] in lost]
    notes = [p for p in item.problems if p not in said]
    said += [f"{field} holds objects, not numbers" for field in objects]
    parts = frozenset() if case.items is None else case.items.parts
    said += [f"{field} is missing" for field in READ_AS if field in parts - raw.has]
    notes += [
        f"{field} is {np.asarray(getattr(raw, field)).dtype}"
        for field in ("np", "hv", "features")
        if getattr(getattr(raw, field), "dtype", None) == np.float16
    ]
    sizes = _sizes(raw, turned=bool(case.setup.labels_turn[1] % 2))
    differ = len(set(sizes.values())) > 1
    words = ", ".join(f"{k} {h} x {w}" for k, (h, w) in sizes.items()) if differ else ""
    return FileLook(name, "; ".join(said), words, tuple(notes))


def _sizes(raw: RawItem, turned: bool) -> dict[str, tuple[int, int]]:
    found = {}
    for field in (*READ_AS, "instances"):
        array = getattr(raw, field)
        shape = tuple(getattr(array, "shape", ()))
        if field == "hv" and len(shape) == 3 and CHANNELS in shape:
            found[field] = shape[1:] if shape[0] == CHANNELS else shape[:2]
        elif field == "image" and len(shape) == 3 and shape[-1] not in (1, 3, 4):
            found[field] = shape[1:]
        elif len(shape) in (2, 3) and field != "hv":
            found[field] = size_of(array)
    if turned:
        found |= {name: found[name][::-1] for name in ("labels", "types", "np") if name in found}
    return {name: (int(size[0]), int(size[1])) for name, size in found.items()}


def files(looks: Sequence[FileLook], limits: DataLimits = LIMITS) -> Finding:
    """Say what cannot be read or does not fit.

    Parameters
    ----------
    looks : sequence of FileLook
    limits : DataLimits
    """
    key, title = "data.files", "Files and sizes"
    if not looks:
        return not_tested(key, title, "give images, labels, maps or targets")
    bad = [look for look in looks if look.unusable]
    unequal = [look for look in looks if look.sizes]
    notes = sorted({note for look in looks for note in look.notes})
    share = max(len(bad), len(unequal)) / len(looks)
    if not share:
        more = f" Noted: {listed(notes)}." if notes else ""
        said = f"All {len(looks)} images can be read and sizes fit.{more}"
        return Finding(key, OK, title, said, 0.0, limits.unusable, "share")
    told = []
    if bad:
        told.append(f"{len(bad)} of {len(looks)} cannot be used ({bad[0].name}: {bad[0].unusable})")
    if unequal:
        first = unequal[0]
        told.append(f"sizes differ in {len(unequal)} of {len(looks)} ({first.name}: {first.sizes})")
    fault = share >= limits.unusable
    what = "cannot be used" if bad else "differ in size from what belongs to them"
    return Finding(
        key,
        FAULT if fault else WARN,
        f"Arrays of {max(len(bad), len(unequal))} of {len(looks)} images {what}",
        "; ".join(told) + ".",
        share,
        limits.unusable,
        "share",
        scaled(share, limits.unusable, 1.0, 0.72, 0.9) if fault else 0.3,
        Remedy(
            "Write them again: numbers, no objects and no NaN, one size for all arrays of an image "
            "(labels resized by nearest neighbour, HV computed from the resized labels)."
        ),
        {"unusable": len(bad), "unequal": len(unequal)},
    )


@dataclass(frozen=True, eq=False)
class ImageLook:
    """What is in one image.

    Parameters
    ----------
    index, name
    shape : (int, int)
    spread : float
        Grey levels, standard deviation.
    unit : bool
        Whole numbers of 0 and 1 alone, or floats rounded to them.
    grey : bool
    red, blue : float
        Optical density of nuclei against their surroundings; NaN without labels.
    darker : float
        The larger of both, in standard deviations of the whole.
    focus : Focus, optional
        Its channels and detail.
    """

    index: int
    name: str
    shape: tuple[int, int]
    spread: float
    unit: bool
    grey: bool
    red: float = float("nan")
    blue: float = float("nan")
    darker: float = float("nan")
    focus: Focus | None = None

    @property
    def place(self) -> Place:
        """The whole image."""
        return Place(self.index, self.name, (0, self.shape[0], 0, self.shape[1]))


def look_at_image(item: Item, raw: Any, limits: DataLimits = LIMITS) -> ImageLook | None:
    """Look at the pixels of one image; None without one.

    Parameters
    ----------
    item : Item
    raw : array
        The image as it was given.
    limits : DataLimits
    """
    image = item.image
    if image is None:
        return None
    given = np.asarray(raw)
    whole = given.dtype.kind in "iu"
    largest = int(given.max()) if whole and given.size else limits.unit_range + 1
    read_up = int(image.max(initial=0)) > limits.unit_range
    step = max(max(image.shape) // SAMPLE, 1)
    colours = image[::step, ::step].astype(np.float32)
    red = blue = darker = float("nan")
    fits = item.labels is not None and item.labels.shape == image.shape[:2]
    whole_place = Place(item.index, item.name, (0, image.shape[0], 0, image.shape[1]))
    if item.labels is not None and fits:
        inside = item.labels > 0
        density = {c: DENSITY[np.ascontiguousarray(image[..., c])] for c in (RED, BLUE)}
        off = {c: contrast_inside(density[c], inside) for c in (RED, BLUE)}
        red, blue = (off[c] * float(density[c].std()) for c in (RED, BLUE))
        darker = max(off.values())
    return ImageLook(
        item.index,
        item.name,
        (int(image.shape[0]), int(image.shape[1])),
        float(colours.mean(axis=2).std()),
        whole and largest <= limits.unit_range and not read_up,
        float((colours.max(axis=2) - colours.min(axis=2)).mean()) < limits.colour,
        red,
        blue,
        darker,
        focus_of(image, item.labels if fits else None, whole_place),
    )


def images(looks: Sequence[ImageLook], limits: DataLimits = LIMITS) -> Finding:
    """Say whether images are blank, of 0..1 in whole numbers, or grey.

    Parameters
    ----------
    looks : sequence of ImageLook
    limits : DataLimits
    """
    key, title = "data.images", "What is in the images"
    if not looks:
        return not_tested(key, title, "no image could be read")
    n = len(looks)
    unit = [look for look in looks if look.unit]
    blank = [look for look in looks if look.spread < limits.blank and not look.unit]
    grey = sum(look.grey for look in looks)
    numbers = {"0..1": len(unit) / n, "blank": len(blank) / n, "grey": grey / n}
    if len(unit) >= HALF * n:
        return Finding(
            key,
            FAULT,
            "Images hold 0 and 1 alone: values of 0..1 were stored as whole numbers",
            f"In {len(unit)} of {n} images no value is above {limits.unit_range}; 8-bit images "
            "reach 255. Everything between was lost when they were written.",
            len(unit) / n,
            HALF,
            "share",
            0.95,
            _unit_remedy(unit, limits),
            numbers,
            ("image",),
            tuple(look.place for look in unit[:5]),
        )
    share = len(blank) / n
    said = f"{len(blank)} of {n} images are blank, {grey} are grey, {len(unit)} hold 0 and 1 alone."
    lost = focus_finding([look.focus for look in looks if look.focus is not None], numbers)
    if not blank and lost is not None:
        return lost
    if not blank and grey == n:
        return _all_grey(looks, said, numbers)
    if not blank:
        return Finding(key, OK, title, said, share, limits.blank_items, "share", numbers=numbers)
    bad = share >= limits.blank_items
    return Finding(
        key,
        FAULT if bad else WARN,
        f"{len(blank)} of {n} images are blank",
        said,
        share,
        limits.blank_items,
        "share",
        scaled(share, limits.blank_items, 1.0, 0.85, 0.96) if bad else 0.35,
        Remedy("Look for images that were not found, or written with another range of values."),
        numbers,
        ("image",),
        tuple(look.place for look in blank[:5]),
    )


def _all_grey(looks: Sequence[ImageLook], said: str, numbers: dict[str, float]) -> Finding:
    return Finding(
        "data.images",
        WARN,
        "All images are grey",
        f"{said} Networks for stained tissue are trained on colours: haematoxylin and eosin "
        "cannot be told apart in grey.",
        1.0,
        1.0,
        "share",
        0.4,
        Remedy("Read the images in colour, unless the network was trained on grey ones."),
        numbers,
        ("image",),
        tuple(look.place for look in looks[:5]),
    )


def _unit_remedy(looks: Sequence[ImageLook], limits: DataLimits) -> Remedy:
    text = "Write the images again as 0..255 (or 0..1 in floats)."
    if np.mean([look.spread for look in looks]) * WHITE < limits.blank:
        return Remedy(text + " Nothing is left in these.")
    more = " Multiplying by 255 brings back the range, not what was lost."
    return Remedy(text + more, "input_factor", float(WHITE))


def channel_order(looks: Sequence[ImageLook], limits: DataLimits = LIMITS) -> Finding:
    """Say whether red and blue are swapped.

    Haematoxylin takes red light and hardly any blue: nuclei stand out of what is around them
    more in red than in blue.

    Parameters
    ----------
    looks : sequence of ImageLook
    limits : DataLimits
    """
    key, title = "data.channel_order", "Red and blue of the images"
    known = [look for look in looks if np.isfinite(look.red) and not look.grey and not look.unit]
    if not known:
        return not_tested(key, title, "give images in colour with true labels")
    red, blue = (float(np.mean([getattr(x, c) for x in known])) for c in ("red", "blue"))
    darker = float(np.mean([look.darker for look in known]))
    if max(red, blue) <= LEAST_DENSITY or darker < limits.darker:
        return not_tested(key, title, "labelled pixels are no darker than the others")
    ratio = blue / max(red, LEAST_DENSITY)
    votes = float(np.mean([look.blue > look.red for look in known]))
    said = (
        f"Nuclei take {red:.2f} (optical density) more of the first channel and {blue:.2f} more of "
        f"the last than what is around them; blue over red is {ratio:.2f} (tissue: 0.05 to 0.8)"
    )
    numbers = {"red": red, "blue": blue, "ratio": ratio}
    if ratio < limits.blue_red or votes <= HALF:
        return Finding(key, OK, title, said + ".", ratio, limits.blue_red, numbers=numbers)
    return Finding(
        key,
        FAULT,
        "Red and blue of the images are swapped (BGR)",
        f"{said}, in {percent(votes)} of the images the wrong way round.",
        ratio,
        limits.blue_red,
        "",
        scaled(ratio, limits.blue_red, 2.0, 0.85, 0.97),
        Remedy(
            "Read images as RGB (cv2.imread gives BGR: image[..., ::-1]).", "channel_order", "bgr"
        ),
        numbers,
        ("image", "truth"),
        tuple(look.place for look in known[:5]),
    )


LEAST_DENSITY = 0.02
"""Optical density below which nuclei do not stand out."""
