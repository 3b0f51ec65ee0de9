"""Checks of files, images and copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import UserError
from ..data.items import evenly, listed
from ..data.samples import TURNS, turn_plane
from ..data.stores import TARGETS
from ..hv import compact_ids
from ..types import Float32, Int32, Progress
from .bench import Bench, Item, item_of
from .case import RawItem
from .engine import ALONE, Steps, Verdict, check, fault, ok, skip, warn
from .report import Place, Remedy

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


# --- copies and leaks ---------------------------------------------------------------------

WINDOW, ONE_OF = 8, 256
"""Edge of the windows of pixels that are marked, and which share of them is kept."""
MARKS, COMMON = 6, 0.02
"""Common marks, and share of the marks of the smaller image, from which two images have pixels
in common: of unlike images none is, as each stands for 192 bytes in their order."""
COPY = 0.8
"""Share from which one is a copy of the other, not only a crop that overlaps."""
ALIKE, FLAT = 0.97, 2.0
"""Correlation of pictures of 16 x 16 px from which images look alike, and grey levels of spread
below which such a picture shows nothing."""
TWICE = 0.2
"""Share of copies within a set from which it is a fault (fewer: a warning)."""
HELD, COHORT = 40, 24
"""Images of the other side that are looked at; and images of a group (on both sides) from which
it is a stain or an organ and no source image."""
ODDS = np.random.default_rng(7).integers(1, 2**31, WINDOW * 2, dtype=np.uint32) | 1


@dataclass(frozen=True, eq=False)
class Print:
    """What is kept of an image to find (parts of) it again."""

    name: str
    group: str
    digest: int
    thumb: Float32  # (16, 16) of mean 0 and length 1; zeros where there is nothing to see
    marks: frozenset[int]
    place: Place | None = None


def print_of(item: Item, raw: RawItem) -> Print | None:
    """Take the print of an image (of tokens: a digest alone)."""
    given: Any = item.image if item.image is not None else raw.features
    if given is None:
        return None
    digest = hash(np.ascontiguousarray(given).tobytes())
    thumb, marks = np.zeros((16, 16), np.float32), frozenset[int]()
    if item.image is not None:
        small = cv2.resize(item.image.mean(2).astype(np.float32), (16, 16), interpolation=3)
        if small.std() >= FLAT:
            thumb = (small - small.mean()) / np.linalg.norm(small - small.mean())
        marks = _marks(item.image)
    return Print(item.name, raw.group, digest, thumb, marks, place_of(item))


def _marks(image: Any) -> frozenset[int]:
    """Hashes of windows of pixels, chosen by the hash itself: the same wherever a crop begins."""
    grey = image.astype(np.uint32) @ np.array([1, 257, 65537], np.uint32)
    height, width = (n - WINDOW + 1 for n in grey.shape)
    if min(height, width) < 1:
        return frozenset()
    rows = sum(w * grey[:, k : k + width] for k, w in enumerate(ODDS[:WINDOW]))
    made = sum(w * rows[k : k + height] for k, w in enumerate(ODDS[WINDOW:]))
    made ^= made >> np.uint32(15)
    made *= np.uint32(2246822519)
    made ^= made >> np.uint32(13)
    kernel, anchor = np.ones((WINDOW, WINDOW), np.uint8), (0, 0)
    plain = image[..., 1]
    alive = cv2.dilate(plain, kernel, anchor=anchor) - cv2.erode(plain, kernel, anchor=anchor) > 12
    return frozenset(made[alive[:height, :width] & (made % ONE_OF == 0)].tolist())


def _prints(bench: Bench) -> list[tuple[Print, str]]:
    """Prints of the images, and the side of the split they are on."""
    found = []
    for index in bench.indices:
        item, raw = bench.item(index), bench.raw(index)
        made = None if item is None or raw is None else bench.once(
            "print", lambda i=item, r=raw: print_of(i, r), index)
        if made is not None and raw is not None:
            found.append((made, raw.split))
    return found


def _held(bench: Bench, number: int) -> tuple[Print, list[Print]] | None:
    """Read an image of the other side; its print, and those of it turned."""
    one = (bench.case.held_out or ())[number]
    try:
        raw = RawItem(**{"name": one.name, "group": one.group, **one.read("image", "features")})
        item = item_of(raw, -1, bench.setup, bench.case.kind)
    except (UserError, ValueError):
        return None
    plain = print_of(item, raw)
    return None if plain is None else (plain, [
        plain, *(replace(plain, thumb=turn_plane(plain.thumb, turn), marks=_marks(
            np.ascontiguousarray(turn_plane(item.image, turn, (0, 1)))))
            for turn in TURNS[1:] if item.image is not None)])  # fmt: skip


@check("data.leak", "No image is there twice, or on both sides of the split")
def copies(bench: Bench) -> Steps:
    """Say which images are copies, and which are on both sides of a split, whole or in part."""
    yield Progress(0, 2, "Taking prints of images")
    found = _prints(bench)
    if not found:
        yield skip("give images")
        return
    here = [p for p, side in found if side != "val"]
    there: list[tuple[Print, list[Print]]] = [(p, [p]) for p, side in found if side == "val"]
    if bench.case.held_out is not None:
        here, there = [p for p, _ in found], []
        for number in evenly(len(bench.case.held_out), HELD):
            yield Progress(number, len(bench.case.held_out), "Comparing with the other side")
            made = _held(bench, number)
            there += [] if made is None else [made]
    if here and there:
        yield _leak(here, there)
    twice = Counter(p.digest for p, _ in found)
    extra = sum(n - 1 for n in twice.values())
    if extra and not (here and there and bench.case.held_out is None):
        places = [p.place for p, _ in found if twice[p.digest] > 1 and p.place][1:6]
        many = extra >= TWICE * len(found)
        yield (fault if many else warn)(
            f"{extra} of {len(found)} images have the very same pixels as another.",
            title=f"{extra} of {len(found)} images are there twice", value=extra / len(found),
            threshold=TWICE, unit="share", certainty=0.93 if many else 0.45, places=places,
            remedy=Remedy("Keep one of each (remove duplicates): copies weigh double, and leak if a "
                          "split divides them."), layers=("image",))  # fmt: skip
    elif not (here and there):
        yield ok(f"All {len(found)} images differ; give images of the other side of the split to "
                 "look for leaks.", value=0.0, threshold=TWICE)  # fmt: skip


def _leak(here: Sequence[Print], there: Sequence[tuple[Print, list[Print]]]) -> Verdict:
    """Compare both sides of a split."""
    pairs: dict[str, list[tuple[Print, Print]]] = {}
    for plain, turned in there:
        for p in here:
            kind = _alike(p, turned)
            if kind:
                pairs.setdefault(kind, []).append((p, plain))
    groups = _shared_groups(here, [p for p, _ in there])
    n = len({id(q) for each in pairs.values() for _, q in each})
    if not n and not groups:
        return ok(f"None of {len(there)} images is among the {len(here)} of the other side, whole, "
                  "turned, or in part.", value=0.0, threshold=0.0, unit="images")  # fmt: skip
    told = [f"{len(each)} {kind} ({listed(f'{p.name} = {q.name}' for p, q in each)})"
            for kind, each in pairs.items()]  # fmt: skip
    told += [f"{len(groups)} source images ({listed(groups)})"] if groups else []
    sure = set(pairs) - {"look alike"} or len(pairs.get("look alike", ())) > 1 or groups
    return (fault if sure else warn)(
        f"On both sides of the split: {'; '.join(told)}. Scores on them say nothing of new images.",
        title="The same images are in training and in validation", value=n / len(there),
        threshold=0.0, unit="share", certainty=(0.95 if set(pairs) - {"look alike"} else 0.8)
        if sure else 0.45, remedy=Remedy(
            "Divide by source image (slide or patient), never by crop, and drop copies first."),
        places=[p.place for each in pairs.values() for p, _ in each if p.place][:5],
        layers=("image",), plain="The images used for checking were also used for learning.")


def _alike(p: Print, turned: Sequence[Print]) -> str:
    """Say what two images have in common, "" if nothing."""
    if p.digest == turned[0].digest:
        return "with the very same pixels"
    shares = [len(p.marks & q.marks) / max(min(len(p.marks), len(q.marks)), MARKS / COMMON / 9)
              if len(p.marks & q.marks) >= MARKS else 0.0 for q in turned]  # fmt: skip
    if max(shares) >= COMMON:
        return "the same, turned" if max(shares) >= COPY else "crops that overlap"
    return "look alike" if max(float((p.thumb * q.thumb).sum()) for q in turned) >= ALIKE else ""


def _shared_groups(here: Sequence[Print], there: Sequence[Print]) -> list[str]:
    """Source images on both sides; groups of many images each are stains or organs."""
    first, second = (Counter(p.group for p in side if p.group) for side in (here, there))
    both = sorted(set(first) & set(second))
    usual = np.median([first[g] + second[g] for g in both]) if both else 0
    return both if usual < COHORT else []
