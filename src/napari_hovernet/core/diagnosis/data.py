"""Checks of files, images, labels, copies and types: what can be told of each by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..data.items import listed
from ..data.samples import touching_count
from ..data.stores import TARGETS
from ..hv import compact_ids, label_equal, moments
from ..types import Float32, Int32, Progress
from .bench import Bench, Item
from .case import RawItem
from .engine import ALONE, Steps, Verdict, check, fault, ok, skip, warn
from .report import Place, Plot, Remedy

MOST = 0.5
"""Share of the images that decides."""


def scaled(value: float, low: float, high: float, least: float, most: float) -> float:
    """Certainty that rises from ``least`` at ``low`` to ``most`` at ``high``."""
    return float(np.interp(value, (low, high), (least, most)))


def place_of(item: Item, at: Any = None, words: str = "", edge: int = 96) -> Place:
    """Return a place around a pixel (row, column), or all of an image."""
    box = [0, 0, *(item.shape or (1, 1))]
    if at is not None:
        box[:2] = [int(np.clip(x - edge / 2, 0, max(n - edge, 0)))
                   for x, n in zip(at, box[2:], strict=True)]  # fmt: skip
        box[2:] = [min(box[0] + edge, box[2]), min(box[1] + edge, box[3])]
    return Place(item.index, item.name, (box[0], box[2], box[1], box[3]), words)


# --- files -----------------------------------------------------------------------------

READ_AS = {"image": "image", "labels": "labels", "types": "types", "np": "target_np",
           "hv": "target_hv"}  # fmt: skip
"""Part of a raw item -> field of the item that is read from it."""
UNUSABLE = 0.1
"""Share of images that cannot be used from which it is a fault: fewer may be strays."""
MENDS = {
    "image": "Give images as they are, uint8 of 0..255 or floats of 0..1: without NaN or infinite "
    "values, and not normalised (the network does that itself).",
    "labels": "Give labels as whole numbers (H, W), one id per nucleus.",
    "types": "Give types as whole numbers (H, W), 0 = background.",
    "np": "Make stored NP again from the labels (labels > 0).",
    "hv": "Compute HV again from the labels (hv_targets) and store it as float32.",
    "size": "Bring all arrays of an image to one size: the same crop without padding, labels "
    "resized by the nearest pixel, HV computed from them.",
}


@check("data.files", "Files and sizes", explains=("data.images", "model.failures"))
def files(bench: Bench) -> Steps:
    """Say what cannot be read or does not fit."""
    items = bench.case.items or ()
    bad: dict[str, dict[str, str]] = {}
    notes: set[str] = set()
    for number, index in enumerate(bench.indices):
        yield Progress(number, len(bench.indices), "Reading")
        raw, item = bench.raw(index), bench.item(index)
        if raw is None or item is None:
            bad[items[index].name] = {"": bench.failures.get(index, "cannot be read")}
            continue
        lost = _lost(bench, raw, item)
        notes |= {p for p in item.problems if p.partition(":")[0] not in lost}
        if lost:
            bad[raw.name] = lost
    n = len(bench.indices)
    share = len(bad) / max(n, 1)
    if not n:
        yield skip("give images, labels, maps or targets")
    elif not bad:
        said = f" Noted: {listed(sorted(notes))}." if notes else ""
        yield ok(f"All {n} images can be read and sizes fit.{said}", value=0, threshold=UNUSABLE)
    else:
        parts = Counter(part for lost in bad.values() for part in lost)
        name, lost = next(iter(bad.items()))
        sure = share >= UNUSABLE
        yield (fault if sure else warn)(
            f"{len(bad)} of {n} cannot be used as they are ({name}: {'; '.join(lost.values())}).",
            title=f"Files of {len(bad)} of {n} images are damaged or do not fit one another",
            value=share, threshold=UNUSABLE, unit="share",
            certainty=scaled(share, UNUSABLE, 1, 0.8, 0.93) if sure else 0.3,
            remedy=Remedy(" ".join(MENDS[p] for p in parts if p) or "Write these files again.",
                          plain="Export images and labels again, in one size."),
            numbers=dict(parts),
        )  # fmt: skip


def _lost(bench: Bench, raw: RawItem, item: Item) -> dict[str, str]:
    """Parts that were given and cannot be used, and why; "size" where sizes differ."""
    has = frozenset() if bench.case.items is None else bench.case.items.has
    lost, sizes = {}, {}
    for part, read in READ_AS.items():
        array, stored = getattr(raw, part), part in ("np", "hv")
        if array is None and part in has:
            lost[part] = f"{part} is missing"
        elif array is not None and getattr(item, read) is None and (
            not stored or bench.case.kind == TARGETS
        ):
            said = [p for p in item.problems if p.startswith(f"{part}:")]
            lost[part] = said[0] if said else f"{part} cannot be read"
    for part in (*READ_AS, "instances"):
        shape = tuple(getattr(getattr(raw, part), "shape", ()))
        if len(shape) in (2, 3):
            last = len(shape) == 2 or shape[-1] in ((2,) if part == "hv" else (1, 3, 4))
            sizes[part] = shape[:2] if last else shape[1:]
            if bench.setup.labels_turn[1] % 2 and part in ("labels", "types"):
                sizes[part] = sizes[part][::-1]
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {size[0]} x {size[1]}" for name, size in sizes.items())
        lost["size"] = f"sizes differ: {found}"
    return lost


# --- images ----------------------------------------------------------------------------

DENSITY: Float32 = -np.log((np.arange(256, dtype=np.float32) + 1) / np.float32(256))
"""Optical density of each byte."""
PART = 512
"""Pixels along an edge that are looked at."""
BLANK, ALIVE = 1.0, 5.0
"""Grey levels of spread (standard deviation) below which an image or channel shows nothing
(tissue: 15 to 60), and that another one has at least where one channel is lost."""
DARK, RAISED, WHITE = 100, 95, 0.2
"""Brightest grey level (99.5 %) below which bright field is too dark (tissue 190 to 255); and
darkest one (0.5 %) above which it was raised, if so many pixels are 255 (tissue 5 to 80)."""
NOISE = 16.0
"""Grey levels; tissue below 3, reduced to a third below 10."""
BLURRED, SOFT, UNSIZED = 0.095, 0.105, 0.08
"""Fine over coarse detail below which images are out of focus, a little so, and so where no
labels tell how large nuclei are. In focus, any magnification: 0.11 to 0.45; blurred by 5 px:
0.07 to 0.09."""
FINE, MIDDLE, COARSE, NUCLEUS_PX = 0.7, 1.5, 6.0, 20.0
"""Sigmas between which detail lies, after nuclei were brought to this diameter."""
BLUE_RED = 1.1
"""Density that nuclei add in the last channel over that in the first, from which red and blue
are swapped (tissue 0.05 to 0.8: haematoxylin takes red light, hardly any blue)."""
UNLIKE = -0.2
"""Correlation of two channels below which they are no red, green and blue (tissue 0.2 to 1)."""
BROKEN = 0.15
"""Share of rows, all of one colour at the bottom, from which a file is broken off."""
PROVEN = 0.5
"""Standard deviations by which labelled nuclei are denser where images are sound (1 to 3)."""


@dataclass(frozen=True, eq=False)
class ImageLook:
    """What is in one image."""

    item: Item
    spread: Float32  # Of each channel, grey levels
    bright: float
    darkest: float
    white: float  # Share of pixels at 255
    unlike: float  # Least correlation of two channels
    inside: npt.NDArray[np.float64]  # Density that nuclei add per channel; NaN without labels
    contrast: float  # The largest of them, in standard deviations
    detail: float  # Fine over coarse
    noise: float  # Grey levels
    broken: float  # Share of rows of one colour at the bottom, though nuclei are labelled there
    unit: bool  # 0 and 1 alone

    @property
    def labels(self) -> Int32 | None:
        """Labels, where they fit the image."""
        return labels_on(self.item)


def labels_on(item: Item) -> Int32 | None:
    """Return labels of the size of their image, with nuclei and background; None otherwise."""
    image, labels = item.image, item.labels
    fits = image is not None and labels is not None and image.shape[:2] == labels.shape
    return labels if fits and labels is not None and labels.any() and not labels.all() else None


def image_look(bench: Bench, item: Item) -> ImageLook:
    """Look at the pixels of one image, once."""
    return bench.once("image_look", lambda: _look(item), item.index)


def _look(item: Item) -> ImageLook:
    image: Any = item.image
    labels = labels_on(item)
    rows, cols = (slice(max(n - PART, 0) // 2, max(n - PART, 0) // 2 + PART)
                  for n in image.shape[:2])  # fmt: skip
    part = image[rows, cols].astype(np.float32)
    flat = part.reshape(-1, 3)
    spread = flat.std(0)
    pairs = np.corrcoef(flat.T)[np.triu_indices(3, 1)] if spread.min() >= BLANK else np.ones(3)
    inside, contrast, broken = np.full(3, np.nan), np.nan, 0
    if labels is not None:
        density, mask = DENSITY[image], labels > 0
        inside = density[mask].mean(0, dtype=np.float64) - density[~mask].mean(0, dtype=np.float64)
        contrast = float((inside / np.maximum(density.std((0, 1)), 1e-6)).max())
        same = (image == image[-1:, :1]).all((1, 2))[::-1]
        rest = 0 if same.all() else int(same.argmin())
        broken = rest if rest and labels[-rest:].any() else 0
    grey = part.mean(2)
    return ImageLook(
        item, spread, float(np.percentile(flat, 99.5)), float(np.percentile(grey, 0.5)),
        float((flat >= 255).all(1).mean()), float(pairs.min()), inside, contrast,
        _detail(grey, labels), _noise(grey), broken / len(image), int(image.max(initial=0)) <= 1,
    )  # fmt: skip


def _detail(grey: Any, labels: Int32 | None) -> float:
    """Fine over coarse detail, at the size that nuclei have; NaN where there is none."""
    scale = 1.0
    if labels is not None:
        area = np.bincount(compact_ids(labels)[0].ravel())[1:]
        scale = NUCLEUS_PX / float(np.clip(np.sqrt(1.27 * np.median(area[area > 0])), 16, 60))
    if min(grey.shape) * scale < COARSE * 4:
        return float("nan")
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    plane = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how)
    a, b, c = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in (FINE, MIDDLE, COARSE))
    coarse = float((b - c).std())
    return float((a - b).std()) / coarse if coarse > BLANK else float("nan")


def _noise(grey: Any) -> float:
    """Noise in grey levels, by differences that no slope and no edge has (Immerkaer 1996)."""
    cross = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    inner = cv2.filter2D(grey, -1, cross)[1:-1, 1:-1]
    return float(np.median(np.abs(inner))) / (0.6745 * 6) if inner.size else 0.0


@check("data.images", "What is in the images", needs=("image",),
       explains=("data.complete", "data.coverage", "data.place", "model.*"))  # fmt: skip
def images(bench: Bench) -> Steps:
    """Say whether images are blank, dark, of other colours, out of focus."""
    looks = []
    for item in bench.items():
        yield Progress(len(looks), len(bench.indices), "Looking at images")
        if item.image is not None and item.image.size:
            looks.append(image_look(bench, item))
    if not looks:
        yield skip("no image could be read")
        return
    found = list(_image_faults(looks, bench.params.n_places))
    yield from found
    if not found:
        detail = float(np.nanmedian([x.detail for x in looks] + [-1.0]))
        grey = sum(float(np.ptp(x.spread)) < BLANK and x.unlike > 0.999 for x in looks)
        yield ok(f"None of {len(looks)} images is blank, dark or blurred; {grey} are grey.",
                 value=detail, threshold=BLURRED, unit="fine over coarse",
                 numbers={"grey": grey / len(looks)})  # fmt: skip


def _image_faults(looks: Sequence[ImageLook], n_places: int) -> Iterator[Verdict]:
    n = len(looks)

    def of(test: Any, title: str, said: str, certainty: float, remedy: Remedy, least: float = MOST,
           plain: str = "") -> Iterator[Verdict]:  # fmt: skip
        bad = [x for x in looks if test(x)]
        if bad and len(bad) >= least * n:
            values = {name: np.median([getattr(x, name) for x in bad])
                      for name in ("bright", "darkest", "noise", "broken", "unlike", "detail")}
            proven = np.mean([x.contrast > PROVEN for x in bad]) > MOST
            sure = min(certainty, 0.95 if proven or certainty > 0.92 else ALONE)
            yield (fault if sure > ALONE else warn)(
                f"In {len(bad)} of {n} images {said.format(**values)}.", title=title,
                certainty=sure, remedy=remedy, plain=plain, value=len(bad) / n, threshold=least,
                unit="share", layers=("image",), places=[place_of(x.item) for x in bad[:n_places]],
            )  # fmt: skip

    seen = [x for x in looks if not x.unit and x.spread.max() >= BLANK]
    left = any(x.spread.max() * 255 > BLANK for x in looks)
    top = float(np.median([x.bright for x in looks]))
    yield from of(
        lambda x: x.unit, "Images hold 0 and 1 alone: their range of values is wrong",
        "no value is above 1; 8-bit images reach 255", 0.95,
        Remedy("Write the images again as 0..255 (or 0..1 in floats): they were divided by 255 "
               "once too often, or cut to whole numbers.", *(("input_factor", 255.0) if left
                                                              else ())))  # fmt: skip
    yield from of(
        lambda x: x not in seen and not x.unit and (x.item.labels is None or x.item.labels.any()),
        "Images are blank", "all pixels are alike", 0.93, Remedy(
            "Look for images that were not found, or written with another range of values."))
    if not seen:
        return
    yield from of(
        lambda x: x.spread.max() >= ALIVE and x.spread.min() < BLANK,
        "A colour channel is missing in the images", "a channel has one value everywhere", 0.93,
        Remedy("Write the images again with all three channels (red, green, blue); an image of one "
               "channel is given as grey."))  # fmt: skip
    yield from of(
        lambda x: x.broken >= BROKEN, "Files are broken off: they end in a flat area",
        "the lowest {broken:.0%} of the rows are of one colour, though nuclei are labelled there",
        0.93, Remedy("Copy or write these files again; they are truncated or damaged."), 0.2)
    yield from of(
        lambda x: x.spread.max() >= BLANK and not x.unit and x.bright < DARK,
        "Images are far too dark", "the brightest pixels have grey level {bright:.0f} of 255 "
        "(tissue 190 to 255)", 0.92, Remedy(
            "Bring images to the full range of brightness (exposure, or 12 bits read as 16).",
            "input_factor", round(240 / max(top, 1), 2)))  # fmt: skip
    yield from of(
        lambda x: x.darkest > RAISED and x.white > WHITE,
        "Images are raised: an offset was added to their values", "the darkest pixels have grey "
        "level {darkest:.0f}, and many are clipped at 255", 0.93,
        Remedy("Write the images again without the offset (subtract the black level before "
               "brightness is scaled)."))  # fmt: skip
    yield from of(
        lambda x: x.inside.max() < 0 and np.median(DENSITY[x.item.image]) > 0.9,
        "Images are inverted: nuclei are light on dark ground", "labelled nuclei are lighter than "
        "all else, and the ground is dark", 0.93,
        Remedy("Invert the images (255 - image), unless they are fluorescence, which takes another "
               "model."), 0.7)  # fmt: skip
    blue = np.median([x.inside[2] / max(x.inside[0], 0.02) for x in seen])
    yield from of(
        lambda x: x.contrast > PROVEN and x.inside[2] > max(BLUE_RED * x.inside[0], 0.02),
        "Red and blue of the images are swapped (BGR)", "nuclei take more of the last channel's "
        f"light than of the first's ({blue:.1f} times as much; in tissue 0.05 to 0.8)",
        scaled(float(blue), BLUE_RED, 2, 0.85, 0.97),
        Remedy("Read images as RGB (cv2.imread gives BGR: image[..., ::-1]).", "channel_order",
               "bgr"), plain="Red and blue are mixed up: tissue looks blue instead of pink.",
    )  # fmt: skip
    yield from of(
        lambda x: x.unlike < UNLIKE, "Channels are no red, green and blue (another colour space?)",
        "one channel falls where another rises (correlation {unlike:.2f}; in tissue 0.2 to 1)",
        0.8, Remedy("Convert to RGB before anything else (not HSV, LAB or YCrCb channels)."), 0.7)
    yield from of(
        lambda x: x.noise >= NOISE, "Images are full of noise",
        "noise has {noise:.0f} grey levels (tissue: below 3)", 0.9,
        Remedy("Look at how images were taken and written (gain, an augmentation that was stored), "
               "or smooth them."))  # fmt: skip
    yield from of(
        lambda x: x.detail < (BLURRED if x.labels is not None else UNSIZED),
        "Images are out of focus", "fine detail is {detail:.3f} of the coarse (in focus 0.11 to "
        "0.45)", 0.9, Remedy("Take images that are in focus; look whether they were smoothed, "
                             "compressed hard, or enlarged when they were written."))
    if all(float(np.ptp(x.spread)) < BLANK and x.unlike > 0.999 for x in looks):
        yield from of(
            lambda x: not x.contrast > 2 * PROVEN, "All images are grey", "there is no colour",
            0.4, Remedy("Read the images in colour, unless the network was trained on grey ones."))


# --- labels ----------------------------------------------------------------------------

SPECK, SHAPE = 10, 30
"""Pixels below which a part is a speck, and a shape is not judged."""
FEWEST = 20
"""Nuclei below which shapes are not judged: one odd nucleus would decide."""
SPECKS = 3.0
"""Specks per id from which labels were interpolated or compressed with loss. Drawn by hand
0 to 0.02, JPEG and bilinear resizing 20 to 180, on five sources."""
LINES, CROSSED = 4, 6
"""Straight rows and columns at which no nucleus goes on, though so many pixels of nuclei meet
there, from which labels were made tile by tile. Healthy: 1 of 7,000; tiles: 30 to 100."""
MASK = 2.0
"""Parts of 20 px or more per id (median) above which ids are no instances (by hand 1.0)."""
SHARED, WRAPPED = 0.25, 0.02
"""Share of ids in several parts from which nuclei share ids (by hand 0, ids in pairs 0.8); and
where they end at 255, as 8 bits do."""
LUMPS, SOLID, TOUCHING = 0.09, 0.88, 0.01
"""Share of labels larger than most and less convex than that (area over hull) from which labels
are components, if hardly any touch. By hand 0.02 to 0.05 (and 0.3 to 0.45 touch), components
0.13 to 0.2."""
ODD = 0.5
"""Share of labels with large holes, filling their box, or of a few pixels, from which they are
outlines, boxes or points (by hand below 0.03)."""
FULL = (127, 255, 32767, 65535)
"""Largest numbers that types of whole numbers hold."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """What was measured of the labels of one image."""

    item: Item
    area: npt.NDArray[Any]  # (n,) of each id
    parts: npt.NDArray[Any]  # (n,) its parts of 20 px and more
    centre: npt.NDArray[np.float64]  # (n, 2)
    solidity: npt.NDArray[np.float64]  # (n,) NaN where cut off or small
    holed: npt.NDArray[np.bool_]
    box: npt.NDArray[np.bool_]  # Whether it fills its bounding box
    specks: int
    touching: int
    lines: tuple[int, ...]  # Where straight borders of tiles are
    end: int  # The largest id as it was given

    @property
    def lumps(self) -> npt.NDArray[np.bool_]:
        """Labels far from convex, and larger than most."""
        return np.asarray((self.solidity < SOLID) & (self.area > np.median(self.area)))


def shapes_of(bench: Bench, item: Item) -> Shapes:
    """Measure the labels of an image, once."""
    given = np.asarray(getattr(bench.raw(item.index), "labels", 0))
    return bench.once("shapes", lambda: _shapes(item, int(given.max(initial=0))), item.index)


def _shapes(item: Item, end: int) -> Shapes:
    ids, largest = compact_ids(item.labels)  # type: ignore[arg-type]
    area, total, box = moments(ids, largest)
    parts = np.zeros(ids.shape, np.int32)
    n = int(label_equal(ids, parts))
    size = np.bincount(parts.ravel(), minlength=n + 1)
    owner = np.zeros(n + 1, np.int64)
    owner[parts] = ids
    large = np.bincount(owner[size >= 2 * SPECK], minlength=largest + 1)
    there = np.flatnonzero(area[1:]) + 1
    there = there[:: max(len(there) // 2000, 1)]  # Of noise there may be very many
    form = np.array([_form(ids, int(i), box[i]) for i in there]).reshape(-1, 2)
    fill = area[there] / np.maximum((box[there, 2:] - box[there, :2] + 1).prod(1), 1)
    return Shapes(
        item, area[there], large[there], total[there] / area[there][:, None], form[:, 0],
        form[:, 1] > 0, (fill >= 0.97) & (area[there] >= SHAPE), int((size[1:] < SPECK).sum()),
        touching_count(ids), tuple(_tile_lines(ids)), end,
    )  # fmt: skip


def _form(ids: Int32, i: int, box: npt.NDArray[Any]) -> tuple[float, float]:
    """Area (holes filled) over that of the hull, NaN at the edge; and 1 if there is a large hole."""
    r0, c0, r1, c1 = (int(x) for x in box)
    inside = np.pad((ids[r0 : r1 + 1, c0 : c1 + 1] == i).astype(np.uint8), 1)
    outer = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = np.zeros_like(inside)
    cv2.drawContours(filled, outer, -1, 1, -1)
    full = int(filled.sum())
    holed = float(int(inside.sum()) < 0.75 * full)
    if min(r0, c0) == 0 or r1 == ids.shape[0] - 1 or c1 == ids.shape[1] - 1 or full < SHAPE:
        return np.nan, holed
    cv2.fillConvexPoly(filled, cv2.convexHull(np.concatenate(outer)), 1)
    return full / max(int(filled.sum()), 1), holed


def _tile_lines(ids: Int32) -> Iterator[int]:
    """Rows and columns at which pixels of nuclei meet, and all change their id."""
    for plane in (ids, ids.T):
        a, b = plane[:, :-1], plane[:, 1:]
        both = (a > 0) & (b > 0)
        cut = (both.sum(0) >= CROSSED) & ~(both & (a == b)).any(0)
        yield from (int(x) + 1 for x in np.flatnonzero(cut))


@check("data.labels", "Labels are instances", needs=("labels",),
       explains=("data.complete", "data.coverage", "data.hv_*", "data.targets", "model.score",
                 "model.np*", "model.hv*", "separation.*"))  # fmt: skip
def labels_are_instances(bench: Bench) -> Steps:
    """Say whether every nucleus has one id of its own, whole and in one piece."""
    found, read = [], []
    for item in bench.items():
        yield Progress(len(read), len(bench.indices), "Looking at labels")
        if item.labels is not None:
            read.append(item)
            found += [shapes_of(bench, item)] if item.labels.any() else []
    if not read:
        yield skip("no labels could be read")
        return
    bare = 1 - len(found) / len(read)
    if bare >= (MOST if len(read) > 1 else 1):
        yield (warn if found else fault)(
            f"{len(read) - len(found)} of {len(read)} images hold not a single nucleus.",
            title="Labels are empty", value=bare, threshold=MOST, unit="share",
            certainty=0.45 if found else 0.95, decisive=not found, layers=("image", "truth"),
            places=[place_of(i) for i in read[: bench.params.n_places]],
            remedy=Remedy("Look for labels that were not found, or were read of another file, "
                          "channel or type."))  # fmt: skip
    wrong = next(_label_faults(found, bench.params.n_places), None) if found else None
    if wrong is not None:
        yield wrong
    elif found:
        n = sum(len(s.area) for s in found)
        touch = sum(s.touching for s in found) / n
        yield ok(f"{n} ids in {len(found)} images lie in one piece each; {touch:.0%} touch another "
                 "one.", value=touch, unit="share touching", plot=_areas(found),
                 numbers={"touching": touch, "nuclei": float(n)})  # fmt: skip


OWN_ID = "Give label images in which every nucleus has an id of its own (inst_maps), not "
BITS = "Store labels in 16 or 32 bits (uint16, int32); 8 bits hold 255 nuclei."


def _label_faults(found: Sequence[Shapes], n_places: int) -> Iterator[Verdict]:
    """Faults of labels, those that bring about the others first."""
    n = sum(len(s.area) for s in found)
    parts = np.concatenate([s.parts for s in found])

    def of(value: float, bound: float, title: str, said: str, certainty: float, text: str,
           worst: Any) -> Verdict:  # fmt: skip
        order = sorted(found, key=lambda s: -float(np.max(worst(s), initial=0)))
        return fault(said, title=title, value=value, threshold=bound, certainty=certainty,
                     remedy=Remedy(text, plain="The labels have to be exported again."),
                     layers=("image", "truth"), plot=_areas(found), decisive=certainty >= 0.9,
                     places=[place_of(s.item) for s in order[:n_places]],
                     plain="The labels do not say where one nucleus ends and the next begins.",
                     )  # fmt: skip

    specks = sum(s.specks for s in found) / n
    if specks >= SPECKS:
        yield of(specks, SPECKS, "Labels were smoothed or compressed: ids that nobody gave",
                 f"There are {specks:.0f} specks of less than {SPECK} px per id (by hand below "
                 "0.1): ids between those of neighbours, as interpolation and JPEG make them.",
                 0.96, "Resize labels by the nearest pixel, and keep them in a lossless file of 16 "
                 "or 32 bits (PNG, TIFF, npz).", lambda s: s.specks / len(s.area))  # fmt: skip
    lines = [x for s in found for x in s.lines]
    if len(lines) >= max(LINES, len(found) // 4):
        edge = int(np.gcd.reduce(np.array(lines)))
        yield of(len(lines), LINES, "Nuclei are cut along the borders of label tiles" + (
                     f" of {edge} px" if edge > 2 * SPECK else ""),
                 f"At {len(lines)} straight rows or columns no nucleus goes on: all change their "
                 "id there (by chance: none).", 0.95,
                 "Label whole images, or tiles that overlap, and join (merge) the ids that meet "
                 "along each border.", lambda s: len(s.lines))  # fmt: skip
    last = {s.item.index: int(s.parts[-1]) for s in found if s.end in FULL and s.parts[-1] >= 3}
    if len(last) >= 0.2 * len(found) and any(s.item.index in last and len(s.area) > 1
                                             for s in found):  # fmt: skip
        end = Counter(s.end for s in found if s.item.index in last).most_common(1)[0][0]
        yield of(max(last.values()), 3, f"Ids end at {end}: many nuclei share that one",
                 f"In {len(last)} of {len(found)} images id {end} is the largest, and lies in "
                 f"{max(last.values())} parts: larger ids were clipped.", 0.95, BITS,
                 lambda s: last.get(s.item.index, 0))  # fmt: skip
    split = float((parts > 1).mean())
    top = max(s.end for s in found)
    if WRAPPED <= split < 2 * SHARED and (parts > 1).sum() >= 3 and 250 <= top <= 255:
        yield of(split, WRAPPED, "Ids were wrapped at 256: distant nuclei share one",
                 f"{split:.0%} of the ids lie in several parts, and none is above {top}: in 8 bits "
                 "ids start again from 0.", 0.9, BITS, lambda s: s.parts)  # fmt: skip
    usual, total = float(np.median(parts)), int(parts.sum())
    if usual > MASK and total >= 6:
        yield of(usual, MASK, "Labels are a mask, classes or colours, not instances",
                 f"{n} ids in {len(found)} images lie on {total} separate areas ({usual:.0f} per "
                 "id, median; an instance lies on 1).", scaled(usual, MASK, 12, 0.92, 0.98),
                 OWN_ID + "a semantic mask, types or palette colours (RGB or grey): from them "
                 "touching nuclei cannot be told apart.", lambda s: s.parts)  # fmt: skip
    if split >= SHARED and (parts > 1).sum() >= 3:
        yield of(split, SHARED, "Several nuclei share one id",
                 f"{split:.0%} of {n} ids lie in several large parts (by hand: hardly any).",
                 scaled(split, SHARED, 0.8, 0.85, 0.94), OWN_ID + "one for several: look where ids "
                 "are given, and relabel what lies apart.", lambda s: s.parts)  # fmt: skip
    judged = max(sum(int(np.isfinite(s.solidity).sum()) for s in found), 1)
    lumps = sum(int(s.lumps.sum()) for s in found)
    touch = sum(s.touching for s in found) / n
    if n >= FEWEST and touch < TOUCHING and lumps >= max(4, LUMPS * judged):
        yield of(lumps / judged, LUMPS, "Labels are connected components: touching nuclei merged",
                 f"{touch:.1%} of {n} labels touch another one (by hand 30 to 45 %), and "
                 f"{lumps / judged:.0%} are large and far from convex (by hand 2 to 5 %).",
                 scaled(lumps / judged, LUMPS, 0.2, 0.85, 0.95), OWN_ID + "label(mask > 0): HV "
                 "made of components cannot separate what touches.",
                 lambda s: s.lumps.sum())  # fmt: skip
    yield from (of(share, ODD, f"Labels are {kind}", f"{share:.0%} of {n} labels are {kind} (by "
                   "hand below 3 %).", scaled(share, ODD, 0.9, 0.88, 0.96), text, len)
                for kind, share, text in _kinds(found) if share >= ODD and n >= FEWEST // 2)


def _kinds(found: Sequence[Shapes]) -> Iterator[tuple[str, float, str]]:
    """What labels may be instead of areas, the share of them that are, and what to do."""
    holed, boxes, small = (float(np.concatenate(x).mean()) for x in (
        [s.holed for s in found], [s.box for s in found], [s.area < SPECK for s in found]))
    yield "outlines, not areas", holed, "Fill the outline (contour) of every nucleus."
    yield "boxes, not outlines", boxes, "Draw the outline of every nucleus; a box is none."
    yield "points, not areas", small, "Give the area of every nucleus, not its centre or seed."


def _areas(found: Sequence[Shapes]) -> Plot:
    ratio = np.concatenate([s.area / max(float(np.median(s.area)), 1.0) for s in found])
    counts, edges = np.histogram(np.clip(ratio, 0, 8), np.linspace(0, 8, 21))
    return Plot("histogram", "Areas of labels", tuple(edges.tolist()),
                (("labels", tuple(counts.astype(float).tolist())),),
                "area, in multiples of the usual one", "labels")  # fmt: skip
