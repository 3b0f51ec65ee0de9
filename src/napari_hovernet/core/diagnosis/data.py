"""Checks of files, images and copies; what the checks of data share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from ..data.items import listed
from ..data.stores import TARGETS
from ..hv import compact_ids, moments
from ..types import Float32, Int32, Progress
from .bench import Bench, Item, T
from .case import RawItem
from .engine import ALONE, Steps, check, ok, skip, told
from .report import Place, Remedy

MOST = 0.5
"""Share of the images that decides."""


def scaled(value: float, low: float, high: float, least: float, most: float) -> float:
    """Certainty that rises from ``least`` at ``low`` to ``most`` at ``high``."""
    return float(np.interp(value, (low, high), (least, most)))


def place_of(item: Item, at: Any = None, words: str = "", edge: int = 96) -> Place:
    """Return a place around a pixel (row, column), or all of an image."""
    height, width = item.shape or (1, 1)
    if at is None:
        return Place(item.index, item.name, (0, height, 0, width), words)
    r, c = (int(np.clip(x - edge / 2, 0, max(n - edge, 0)))
            for x, n in zip(at, (height, width), strict=True))  # fmt: skip
    return Place(item.index, item.name, (r, min(r + edge, height), c, min(c + edge, width)), words)


def places_of(bench: Bench, items: Iterable[Item]) -> list[Place]:
    """Return some images as examples."""
    return [place_of(item) for item in list(items)[: bench.params.n_places]]


def labels_on(item: Item) -> Int32 | None:
    """Return labels of the size of their image, with nuclei and background; None otherwise."""
    image, labels = item.image, item.labels
    fits = image is not None and labels is not None and image.shape[:2] == labels.shape
    return labels if fits and labels is not None and labels.any() and not labels.all() else None


def look_steps(
    bench: Bench, words: str, look: Callable[[Item], T | None]
) -> Generator[Progress, None, list[T]]:
    """Look at all images that can be read; what shows nothing is left out."""
    found = []
    for number, item in enumerate(bench.items()):
        yield Progress(number, len(bench.indices), words)
        made = look(item)
        found += [] if made is None else [made]
    return found


# --- files -----------------------------------------------------------------------------

UNUSABLE = 0.1
"""Share of images that cannot be used from which it is a fault: fewer may be strays."""
READ_AS = {"image": "image", "labels": "labels", "types": "types", "np": "target_np",
           "hv": "target_hv"}  # fmt: skip
"""Part of a raw item -> field of the item that is read from it."""
MENDS = {"image": "Give images as they are, uint8 of 0..255 or floats of 0..1: without NaN or "
         "infinite values, and not normalised (the network does that itself).",
         "labels": "Give labels as whole numbers (H, W), one id per nucleus.",
         "types": "Give types as whole numbers (H, W), 0 = background.",
         "np": "Make stored NP again from the labels (labels > 0).",
         "hv": "Compute HV again from the labels (hv_targets) and store it as float32.", "size":
         "Bring all arrays of an image to one size: the same crop without padding, labels resized "
         "by the nearest pixel, HV computed from them."}  # fmt: skip


@check("data.files", "Files and sizes", explains=("data.images", "model.failures"))
def files(bench: Bench) -> Steps:
    """Say what cannot be read or does not fit."""
    bad: dict[str, dict[str, str]] = {}
    notes: set[str] = set()
    for number, index in enumerate(bench.indices):
        yield Progress(number, len(bench.indices), "Reading")
        raw, item = bench.raw(index), bench.item(index)
        lost = {"": bench.failures.get(index, "cannot be read")} if (
            raw is None or item is None) else _lost(bench, raw, item)  # fmt: skip
        notes |= {p for p in getattr(item, "problems", ()) if p.partition(":")[0] not in lost}
        if lost:
            bad[raw.name if raw is not None else f"image {index}"] = lost
    n, parts = len(bench.indices), Counter(part for lost in bad.values() for part in lost)
    share, (name, why) = len(bad) / max(n, 1), next(iter(bad.items()), ("", {}))
    yield from told([(
        bad, scaled(share, UNUSABLE, 1, 0.8, 0.93) if share >= UNUSABLE else 0.3,
        f"Files of {len(bad)} of {n} images are damaged or do not fit one another",
        f"{len(bad)} of {n} cannot be used as they are ({name}: {'; '.join(why.values())}).", share,
        UNUSABLE, " ".join(MENDS[p] for p in parts if p) or "Write these files again.")],
        unit="share", numbers=dict(parts))  # fmt: skip
    if not n:
        yield skip("give images, labels, maps or targets")
    elif not bad:
        more = f" Noted: {listed(sorted(notes))}." if notes else ""
        yield ok(f"All {n} images can be read and sizes fit.{more}", value=0, threshold=UNUSABLE)


def _lost(bench: Bench, raw: RawItem, item: Item) -> dict[str, str]:
    """Parts that were given and cannot be used, and why; "size" where sizes differ."""
    has = frozenset() if bench.case.items is None else bench.case.items.has
    lost, sizes = {}, {}
    for part, read in READ_AS.items():
        array, of_targets = getattr(raw, part), part in ("np", "hv")
        if array is None and part in has:
            lost[part] = f"{part} is missing"
        elif array is not None and getattr(item, read) is None and (
            not of_targets or bench.case.kind == TARGETS
        ):  # fmt: skip
            said = [p for p in item.problems if p.startswith(f"{part}:")]
            lost[part] = said[0] if said else f"{part} cannot be read"
    for part in (*READ_AS, "instances"):
        shape = tuple(getattr(getattr(raw, part), "shape", ()))
        if len(shape) in (2, 3):
            last = len(shape) == 2 or shape[-1] in ((2,) if part == "hv" else (1, 3, 4))
            size = shape[:2] if last else shape[1:]
            turned = bench.setup.labels_turn[1] % 2 and part in ("labels", "types")
            sizes[part] = size[::-1] if turned else size
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {size[0]} x {size[1]}" for name, size in sizes.items())
        lost["size"] = f"sizes differ: {found}"
    return lost


# --- images ----------------------------------------------------------------------------

DENSITY: Float32 = -np.log((np.arange(256, dtype=np.float32) + 1) / np.float32(256))
"""Optical density of each byte."""
DENSEST = np.float32(2.0)
"""Density (a seventh of the light) that counts at most: what is clipped at 0 would decide alone."""
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
BLURRED, UNSIZED = 0.095, 0.08
"""Fine over coarse detail below which images are out of focus; and where no labels tell how large
nuclei are. In focus, any magnification: 0.11 to 0.45; blurred by 5 px: 0.07 to 0.09."""
BLUE_RED = 1.1
"""Density that nuclei add in the last channel over that in the first, from which red and blue
are swapped (tissue 0.05 to 0.8: haematoxylin takes red light, hardly any blue)."""
UNLIKE = -0.2
"""Correlation of two channels below which they are no red, green and blue (tissue 0.2 to 1)."""
BROKEN = 0.15
"""Share of labelled pixels that have one and the same colour, from which parts of an image are
lost: cut off, masked, or transparent (tissue: up to 0.003)."""
FLAT_RANGE, FLAT_TOP = 95, 185
"""Grey levels between the darkest and the brightest (0.5 and 99.5 %), and brightest, below which
contrast was lost (tissue: 77 to 240, and 205 to 255)."""
WHITE_OFF = 0.6
"""Brightest level of one channel by that of another, below which white is no white (0.77 to 1)."""
PARTLY, PARTS = 0.55, 4
"""Detail of the softest part of an image by that of the sharpest, below which some of it is out of
focus (123 images: 0.63 to 1; with 5 px of blur over three fifths half of them have 0.48, DSB, or
0.27, MoNuSeg, or less), and parts along an edge."""
ONE_WAY, BLOCKS = 0.72, 4.0
"""Detail along one axis by that along the other, below which images were smeared or torn (tissue
0.82 to 1, motion and lines out of step 0.3 to 0.7); and roughness at every eighth pixel by that at
others, from which compression left hardly more than blocks (tissue, JPEG of 75: up to 2.3)."""
APART, BY = 3, 0.1
"""Pixels by which two channels lie apart, and what moving back gains in correlation (tissue: up to
2, and 0.03)."""
EOSIN, SQUARE = 3.5, 1.45
"""Density that nuclei add in green over that in red, from which it is no haematoxylin (0.8 to 2.6);
and width by height of the usual nucleus (or turned) from which pixels are not square (medians of
images: up to 1.15)."""
AGAIN, SEAM = 0.05, 3.2
"""Share of lines that are the one before, many in a row (tissue: 0), and roughness of the third
roughest step from line to line by those around (150 images: 1.3 to 2.5; tiles laid out wrongly: 4
to 8)."""
GHOST, CALM, CLIPPED = 0.3, 36.0, 0.03
"""Likeness of fine detail elsewhere (150 images: one in ten 0.06 to 0.14 or more, enlarged twice
0.21; two pictures on one another 0.32 to 0.5); spread of the calmest squares (one in ten 33 or
more; equalised by tiles half of them 54 or more); and share of values that are 0, as of those that
are 255 (tissue: 0)."""
LITTLE = 0.02
"""Share of nucleus pixels below which a few odd nuclei decide (one on the lightest spot)."""
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
    parts: float  # The least of it in a part of the image by the most
    noise: float  # Grey levels
    broken: float  # Share of labelled pixels that have one and the same colour
    balance: float  # Brightest level of the dimmest channel by that of the brightest
    axes: float  # Detail along one axis by that along the other
    blocks: float  # Roughness at every eighth pixel by that at others
    offset: int  # Pixels by which red or blue lies off green
    aspect: float  # Width by height of nuclei, NaN without labels
    again: float  # Share of rows, or columns, that are the one before
    seam: float  # Steps from a row to the next, or a column, by the usual ones around; the third
    ghost: float  # How alike fine detail is elsewhere
    calm: float  # Spread of the calmest squares, grey levels
    clipped: float  # Share of values that are 0, or 255, whichever is less
    unit: bool  # 0 and 1 alone

    @property
    def seen(self) -> bool:
        """Whether it shows anything."""
        return not self.unit and bool(self.spread.max() >= BLANK)

    @property
    def pink(self) -> bool:
        """Whether nuclei take green light alone, as eosin does."""
        red, green, blue = self.inside
        return bool(self.contrast > PROVEN and green > EOSIN * max(red, blue, 0.02))


CODE = np.array([1, 257, 65537], np.uint32)
"""Makes one number of the three of a colour."""


def _look(item: Item) -> ImageLook | None:
    image: Any = item.image
    labels = labels_on(item)
    if image is None or not image.size:
        return None
    rows, cols = (slice(max(n - PART, 0) // 2, max(n - PART, 0) // 2 + PART)
                  for n in image.shape[:2])  # fmt: skip
    part = image[rows, cols].astype(np.float32)
    flat, grey = part.reshape(-1, 3), part.mean(2)
    spread = flat.std(0)
    tops = np.percentile(flat, 99.5, axis=0)
    pairs = np.corrcoef(flat.T)[np.triu_indices(3, 1)] if spread.min() >= BLANK else np.ones(3)
    inside, contrast, broken = np.full(3, np.nan), np.nan, 0.0
    if labels is not None:
        density, mask = np.minimum(DENSITY, DENSEST)[image], labels > 0
        if mask.mean() >= LITTLE:
            inside = np.subtract(*(density[m].mean(0, dtype=np.float64) for m in (mask, ~mask)))
            contrast = float((inside / np.maximum(density.std((0, 1)), 1e-6)).max())
        colours = np.unique(image[mask].astype(np.uint32) @ CODE, return_counts=True)[1]
        broken = float(colours.max()) / float(mask.sum())
    return ImageLook(
        item, spread, float(np.percentile(flat, 99.5)), float(np.percentile(grey, 0.5)),
        float((flat >= 255).all(1).mean()), float(pairs.min()), inside, contrast,
        detail_of(grey, labels), _parts(grey, labels), noise_of(grey), broken,
        float(tops.min() / max(tops.max(), 1)), *_texture(grey), _offset(part), _aspect(labels),
        *_made(part), _ghost(grey), _calm(grey),
        min(float((flat <= 0).mean()), float((flat >= 255).mean())),
        int(image.max(initial=0)) <= 1,
    )  # fmt: skip


def _texture(grey: Any) -> tuple[float, float]:
    """Fine over coarse detail of one axis by the other; roughness at every eighth pixel."""
    ways, blocks = [], []
    for plane in (grey, grey.T):
        fine, middle, coarse = (cv2.GaussianBlur(plane, (0, 0), sigmaX=s, sigmaY=0.01)
                                for s in (0.7, 1.5, 6.0))  # fmt: skip
        ways.append(float((fine - middle).std()) / max(float((middle - coarse).std()), 1e-6))
        rough = np.abs(np.diff(plane, 2, axis=1)).mean(0)
        each = np.sort([rough[k::8].mean() for k in range(8)]) if len(rough) > 16 else np.ones(8)
        blocks.append(float(each[-2:].mean() / max(np.median(each), 0.1)))
    return min(ways) / max(*ways, 1e-6), min(blocks)


def _offset(part: Float32) -> int:
    """Pixels by which red or blue fits green better elsewhere; 0 where that gains little."""
    planes = [cv2.GaussianBlur(part[:256, :256, c], (0, 0), 1.0) for c in (1, 0, 2)]
    green, *others = (fft.rfft2((p - p.mean()) / max(float(np.linalg.norm(p - p.mean())), 1e-6))
                      for p in planes)  # fmt: skip
    most = 0
    for other in others:
        fits = fft.irfft2(other * np.conj(green), planes[0].shape)
        at = np.unravel_index(int(fits.argmax()), fits.shape)
        far = max(min(int(k), n - int(k)) for k, n in zip(at, fits.shape, strict=True))
        most = max(most, far if fits.max() - fits[0, 0] >= BY else 0)
    return most


def _made(part: Float32) -> tuple[float, float]:
    """Share of lines that are the one before; roughness of the third roughest step between two."""
    again, seam = [0.0], [1.0]
    for axis in (0, 1):
        steps = np.abs(np.diff(part, axis=axis))
        each = steps.mean((1 - axis, 2))
        if len(each) >= 40:
            lively = part.std(1 - axis).max(1)[1:] >= ALIVE  # glass is alike, too
            runs = ndimage.label((steps.max((1 - axis, 2)) == 0) & lively)[0]
            long = np.bincount(runs)[1:]  # enlarged by the nearest pixel they are short
            again.append(float(long[long >= 8].sum()) / len(each))
            usual = ndimage.median_filter(each, 15, mode="nearest")
            seam.append(float(np.sort((each / np.maximum(usual, 0.5))[2:-2])[-3]))
    return max(again), max(seam)


def _ghost(grey: Any) -> float:
    """How far fine detail is like itself 9 to 40 px away, in one direction beyond all others."""
    fine = cv2.GaussianBlur(grey, (0, 0), 0.7) - cv2.GaussianBlur(grey, (0, 0), 1.5)
    seen = fft.rfft2(fine - fine.mean(), (2 * PART, 2 * PART))
    alike = fft.fftshift(fft.irfft2(seen * np.conj(seen)))
    alike = alike[PART - 40 : PART + 41, PART - 40 : PART + 41] / max(float(alike.max()), 1e-6)
    away = np.rint(np.hypot(*np.mgrid[-40:41, -40:41])).astype(int)
    rings = ndimage.median(alike, away, np.arange(away.max() + 1))
    return float((alike - rings[away])[(away >= 9) & (away <= 40)].max())


def _calm(grey: Any) -> float:
    """Spread of a square of 64 px that is among the calmest tenth."""
    squares = [grey[r : r + 64, c : c + 64].std() for r in range(0, grey.shape[0] - 63, 64)
               for c in range(0, grey.shape[1] - 63, 64)]  # fmt: skip
    return float(np.percentile(squares, 10)) if len(squares) >= 4 else 0.0


def _aspect(labels: Int32 | None) -> float:
    """Width by height of nuclei in one piece, on geometric average."""
    if labels is None:
        return float("nan")
    area, _, box = moments(*compact_ids(labels))
    height, width = (box[:, k + 2] - box[:, k] + 1 for k in (0, 1))
    whole = area >= np.maximum(40, 0.35 * height * width)  # not in pieces
    height, width = height[whole], width[whole]
    return float(np.exp(np.mean(np.log(width / height)))) if len(width) > 4 else float("nan")


def detail_of(grey: Any, labels: Int32 | None) -> float:
    """Fine over coarse detail, where nuclei are 20 px large; NaN where there is none."""
    planes = _details(grey, labels)
    under = 0.0 if planes is None else float(planes[1].std())
    return float("nan") if planes is None or under <= BLANK else float(planes[0].std()) / under


def _parts(grey: Any, labels: Int32 | None) -> float:
    """Detail of the softest strip of an image, down or across, by that of the sharpest."""
    fine, coarse = _details(grey, labels) or (grey, grey)
    strips = [
        float(a.std()) / float(b.std())
        for axis in (0, 1)
        for a, b in zip(*(np.array_split(x, PARTS, axis) for x in (fine, coarse)), strict=True)
        if b.size and b.std() > ALIVE
    ]
    return min(strips) / max(strips) if strips else 1.0


def _details(grey: Any, labels: Int32 | None) -> tuple[Float32, Float32] | None:
    """Fine and coarse detail, where nuclei are 20 px large; None where an image is too small."""
    scale = 1.0
    if labels is not None:
        area = np.bincount(compact_ids(labels)[0].ravel())[1:]
        scale = 20 / float(np.clip(np.sqrt(1.27 * np.median(area[area > 0])), 16, 60))
    if min(grey.shape) * scale < 24:
        return None
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    plane = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how)
    fine, middle, coarse = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in (0.7, 1.5, 6.0))
    return fine - middle, middle - coarse


def noise_of(grey: Any) -> float:
    """Noise in grey levels, by differences that no slope and no edge has (Immerkaer 1996)."""
    cross = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    inner = cv2.filter2D(grey, -1, cross)[1:-1, 1:-1]
    return float(np.median(np.abs(inner))) / (0.6745 * 6) if inner.size else 0.0


@check("data.images", "What is in the images", needs=("image",),
       explains=("data.complete", "data.coverage", "data.place", "model.*"))  # fmt: skip
def images(bench: Bench) -> Steps:
    """Say whether images are blank, dark, of other colours, out of focus."""
    looks = yield from look_steps(bench, "Looking at images", _look)
    if not looks:
        return skip("no image could be read")
    n, found = len(looks), False
    for test, least, certainty, title, said, remedy in _image_kinds(looks):
        bad = [x for x in looks if test(x)]
        if not bad or len(bad) < least * n:
            continue
        found = True
        values = {name: float(np.median([getattr(x, name) for x in bad]))
                  for name in ("bright", "darkest", "noise", "broken", "unlike", "detail", "parts",
                               "balance", "axes", "blocks", "offset", "aspect", "again", "seam",
                               "ghost", "calm", "clipped")}  # fmt: skip
        proven = certainty > 0.92 or np.mean([x.contrast > PROVEN for x in bad]) > MOST
        yield from told([(
            True, certainty if proven else min(certainty, ALONE), title,
            f"In {len(bad)} of {n} images {said.format(**values)}.", len(bad) / n, least, remedy)],
            unit="share", layers=("image",), places=places_of(bench, (x.item for x in bad)),
            plain="The images are not what the program expects.")  # fmt: skip
    if not found:
        detail = float(np.nanmedian([x.detail for x in looks] + [-1.0]))
        yield ok(f"None of {n} images is blank, dark or blurred.", value=detail, threshold=BLURRED,
                 unit="fine over coarse")  # fmt: skip


Kind = tuple[Any, float, float, str, str, Any]
"""Test of an image, share of images, certainty with proof, title, evidence and remedy."""


def _image_kinds(looks: Sequence[ImageLook]) -> Iterator[Kind]:
    """List what may be wrong; proven is what labels say too (nuclei are denser), or a fact."""
    top = float(np.median([x.bright for x in looks]))
    left = any(x.spread.max() * 255 > BLANK for x in looks)
    grey = all(float(np.ptp(x.spread)) < BLANK and x.unlike > 0.999 for x in looks)
    yield (lambda x: x.unit, MOST, 0.95, "Images hold 0 and 1 alone: their range is wrong",
           "no value is above 1; 8-bit images reach 255", Remedy(
               "Write images again as 0..255 (or floats of 0..1): they were divided by 255 once "
               "too often, or cut to integers.", *(("input_factor", 255.0) if left
                                                     else ())))  # fmt: skip
    yield (lambda x: not x.seen and not x.unit and (x.item.labels is None or x.item.labels.any()),
           MOST, 0.93, "Images are blank", "all pixels are alike",
           "Look for images that were not found, or written in another range.")  # fmt: skip
    yield (lambda x: x.spread.max() >= ALIVE and x.spread.min() < BLANK, MOST, 0.93,
           "A colour channel is missing in the images", "a channel has one value everywhere",
           "Write the images again with all three channels (red, green, blue); one of a single "
           "channel is given as grey.")  # fmt: skip
    yield (lambda x: x.seen and x.broken >= BROKEN, 0.2, 0.93,
           "Parts of the images have one and the same colour",
           "{broken:.0%} of the labelled pixels have one and the same colour (tissue: below 1 %)",
           "Look at that colour. Black, grey or white: copy or write the files again; they are "
           "truncated, or an alpha channel was dropped. Any other: something is drawn over them "
           "(outlines, marks), or colours were reduced to few: export without that.")  # fmt: skip
    yield (lambda x: x.seen and x.bright < DARK, MOST, 0.92, "Images are far too dark",
           "the brightest pixels have grey level {bright:.0f} of 255 (tissue 190 to 255)", Remedy(
               "Bring images to the full range of brightness (exposure, or 12 bits read as 16).",
               "input_factor", round(240 / max(top, 1), 2)))  # fmt: skip
    yield (lambda x: x.seen and x.bright - x.darkest < FLAT_RANGE and x.bright < FLAT_TOP, MOST,
           0.9, "Images have lost their contrast: they use a part of the range",
           "grey levels go from {darkest:.0f} to {bright:.0f} of 255 alone",
           "Write images again in full range: black and white level or contrast were changed.",
           )  # fmt: skip
    yield (lambda x: x.seen and not grey and x.spread.min() >= BLANK and x.balance < WHITE_OFF,
           MOST, 0.85, "White of the images is no white",
           "the brightest pixels of one channel reach {balance:.0%} of those of another (tissue: "
           "above 70 %)", "Balance white: a colour filter, the stain, or channels of unequal "
           "exposure.")  # fmt: skip
    yield (lambda x: x.darkest > RAISED and x.white > WHITE, MOST, 0.93,
           "Images are raised: an offset was added to their values",
           "the darkest pixels have grey level {darkest:.0f}, and many are clipped at 255",
           "Write images again without the offset (subtract the black level).")  # fmt: skip
    yield from _colour_kinds(looks, grey)


_MADE_KINDS: tuple[Kind, ...] = (
    (lambda x: x.seen and x.again >= AGAIN, MOST, 0.94,
     "A part of each image is one line again and again", "{again:.0%} of the rows or columns "
     "are exactly the one before", "Leave out what lies beyond the edge of the scan, or read "
     "and write these files again."),
    (lambda x: x.seen and x.again < AGAIN and x.seam >= SEAM and x.blocks < BLOCKS, 0.6, 0.93,
     "Images are put together wrongly: there are straight seams", "steps across some "
     "straight lines are {seam:.0f} times as large as others (tissue: below 2.5)",
     "Look at the order, the direction and the place of the tiles that were put together "
     "(stitching, a scan there and back), and match labels to them."),
    (lambda x: x.seen and x.ghost >= GHOST and x.detail >= BLURRED
     and x.axes >= ONE_WAY, 0.6, 0.9,
     "Two pictures lie on one another: contours are double", "fine detail is like itself "
     "elsewhere by {ghost:.2f} (tissue: below 0.3)", "Register (align) planes or exposures "
     "before they are averaged, or take one of them."),
    (lambda x: x.seen and x.clipped >= CLIPPED, MOST, 0.9,
     "Images are sharpened, or their contrast is stretched beyond the range",
     "{clipped:.0%} of the values are 0, and as many 255 (tissue: none)",
     "Take the images as they were before that (no filter, no contrast)."),
    (lambda x: x.seen and x.calm >= CALM and x.clipped < CLIPPED, 0.6, 0.75,
     "Contrast is strong everywhere: it was equalised or raised",
     "even the calmest squares have {calm:.0f} grey levels of spread (tissue: below 35)",
     "Take the images as they were before that (no CLAHE, no local normalisation).",
     ),
)  # fmt: skip
"""What is wrong with how images were made; none of it needs labels."""


def _colour_kinds(looks: Sequence[ImageLook], grey: bool) -> Iterator[Kind]:
    """List what else: colours, noise and focus."""
    blue = float(np.median([x.inside[2] / max(x.inside[0], 0.02) for x in looks]))
    yield (lambda x: x.inside.max() < 0 and np.median(DENSITY[x.item.image]) > 0.9, 0.7, 0.93,
           "Images are inverted: nuclei are light on dark ground",
           "labelled nuclei are lighter than all else, and the ground is dark",
           "Invert the images (255 - image), unless they are fluorescence, for which another model "
           "is needed.")  # fmt: skip
    yield (lambda x: x.contrast > PROVEN and x.unlike >= UNLIKE and not x.pink
           and x.inside[2] > max(BLUE_RED * x.inside[0], 0.02), MOST,
           scaled(blue, BLUE_RED, 2, 0.85, 0.97), "Red and blue of the images are swapped (BGR)",
           f"nuclei take {blue:.1f} times as much light of the last channel as of the first "
           "(tissue 0.05 to 0.8)", Remedy("Read images as RGB (cv2.imread gives BGR: image[..., "
                                         "::-1]).", "channel_order", "bgr"))  # fmt: skip
    yield (lambda x: x.unlike < UNLIKE, 0.7, 0.8, "Channels are no red, green and blue",
           "one channel falls where another rises (correlation {unlike:.2f}; in tissue 0.2 to 1)",
           "Convert from that colour space to RGB first (HSV, LAB or YCrCb?).")  # fmt: skip
    yield (lambda x: x.noise >= NOISE, MOST, 0.9, "Images are full of noise",
           "noise has {noise:.0f} grey levels (tissue: below 3)",
           "Look at how images were taken and written (gain, a stored augmentation).")  # fmt: skip
    yield (lambda x: x.detail < (UNSIZED if np.isnan(x.contrast) else BLURRED), MOST, 0.9,
           "Images are out of focus", "fine detail is {detail:.3f} of the coarse (in focus 0.11 to "
           "0.45)", "Take images in focus; look whether they were smoothed, compressed or enlarged "
           "when they were written.")  # fmt: skip
    yield (lambda x: x.detail >= BLURRED and x.parts < PARTLY, MOST, 0.9,
           "Parts of the images are out of focus", "fine detail of the softest part is {parts:.2f} "
           "of that of the sharpest (in focus 0.63 to 1)", "Scan again with more points of focus, "
           "or leave out what is blurred.")  # fmt: skip
    wide = float(np.nanmedian([x.aspect for x in looks] + [1.0]))
    yield (lambda x: x.seen and x.axes < ONE_WAY, 0.6, 0.88,
           "Images are smeared or torn along one axis", "fine detail along one axis is {axes:.2f} "
           "of that along the other (tissue: above 0.8)", "Scan again: the stage moved while the "
           "picture was taken, or the lines of the scan are out of step.")  # fmt: skip
    yield (lambda x: x.seen and x.blocks >= BLOCKS, 0.6, 0.9,
           "Compression left hardly more than blocks of 8 px", "pixels at the seams of blocks are "
           "{blocks:.0f} times as rough as others (JPEG of quality 75: 2)",
           "Write images again with better quality, or without loss (PNG).")  # fmt: skip
    yield from _MADE_KINDS
    yield (lambda x: x.seen and x.offset >= APART and x.unlike >= UNLIKE, 0.6, 0.93,
           "Colour channels do not lie on one another", "red or blue lies {offset:.0f} px off "
           "green (tissue: up to 2)", "Register (align) the channels: they were taken one after "
           "the other, or read from another place.")  # fmt: skip
    yield (lambda x: x.pink and x.unlike >= UNLIKE and x.offset < APART, MOST, 0.85,
           "Nuclei have the colour of eosin: stains are exchanged", "nuclei take far more green "
           "light than red (haematoxylin: 0.8 to 2.6 times as much)",
           "Look at the normalisation of stains that wrote these colours.")  # fmt: skip
    yield (lambda x: max(wide, 1 / wide) >= SQUARE and x.aspect == x.aspect
           and (x.aspect > 1.2 or x.aspect < 0.83), 0.7 if len(looks) > 2 else 2, 0.9,
           "Pixels are not square: nuclei are stretched along one axis",
           "nuclei are {aspect:.2f} times as wide as high, on average (tissue: 0.85 to 1.15)",
           "Resize images and labels so that pixels are square.")  # fmt: skip
    yield (lambda x: grey and not x.contrast > 2 * PROVEN, MOST, 0.4, "All images are grey",
           "there is no colour", "Read images in colour, if there are.")  # fmt: skip
