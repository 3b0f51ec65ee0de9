"""The one way to data: a place that a user names becomes a Dataset, a sequence of lazy Items.

:func:`.load.open_dataset` looks at headers and indices alone; ``item.read("image", "labels")``
reads parts of one image *exactly as they are stored*, as the diagnosis wants them. Training has
them checked by :func:`.load.load_samples`; evaluation runs over ``dataset.pairs``, the files; the
token decoder takes ``dataset.stack``, the arrays that a family or fold is cut from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np

from ...errors import InputError
from .stores import AXES, PARTS, Stack, only

TRAIN_NAMES = ("train", "training", "stage1_train")
VAL_NAMES = ("val", "valid", "validation")
TEST_NAMES = ("test", "testing", "test_same", "test_diff", "stage1_test")
"""Names of splits, as indices and folders have them; case does not matter."""
SHOWN = 3
"""Names that a message shows."""
SPLITS_SHOWN = 8

Reader = Callable[[Sequence[str]], dict[str, Any]]
"""Reads the named parts; those that are not there are left out."""


@dataclass(frozen=True)
class Pair:
    """An image and its labels; nothing of them has been read yet."""

    name: str  # What it is called in tables
    image: Path
    labels: Path | None  # None where no labels belong to the image
    source: str = ""  # Where it comes from, for means per source
    mpp: float | None = None  # Micrometres per pixel by the index, None = not stated
    split: str = ""  # "train", "val" ..., "" = not known
    group: str = ""  # The image or slide it was cut from, "" = not known


@dataclass(frozen=True, eq=False)
class Item:
    """One image with all that there is of it."""

    name: str
    has: frozenset[str]  # Of :data:`PARTS`
    reader: Reader
    group: str = ""  # The image or slide it was cut from, "" = not known
    split: str = ""  # As the data call it
    pair: Pair | None = None  # Its files, where it has files of its own
    index: int = 0  # In the stack it is cut from
    shape: tuple[int, int] | None = None  # Of its planes, where that is known without reading

    def read(self, *parts: str) -> dict[str, Any]:
        """Read parts, all if none is named, as stored; "name" where only a region was read."""
        return self.reader(parts or PARTS)


@dataclass(frozen=True, eq=False)
class Dataset(Sequence[Item]):
    """What lies at a place."""

    items: tuple[Item, ...]
    origin: str  # Of the items, for messages: a path or a name
    notes: tuple[str, ...] = ()  # What was assumed or left out
    kind: str = ""  # What np and hv are: :data:`MAPS`, :data:`TARGETS`, "" = they do not say
    n_types: int | None = None  # Types there should be, background included
    stack: Stack | None = None  # The arrays that the items are cut from

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        return self.items[index]

    @property
    def has(self) -> frozenset[str]:
        """Parts that (some of) the items have."""
        return frozenset().union(*(item.has for item in self.items))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Images with labels, as files."""
        return tuple(item.pair for item in self.items if item.pair and item.pair.labels)

    @property
    def unpaired(self) -> tuple[Pair, ...]:
        """Images without labels, as files."""
        return tuple(item.pair for item in self.items if item.pair and not item.pair.labels)

    def divided(self, split: str) -> tuple[Dataset, Dataset]:
        """Return the items of a split, and those of the other splits."""
        wanted = _known_split(split)
        mine = tuple(item for item in self.items if _known_split(item.split) == wanted)
        if not mine:
            there = sorted({item.split for item in self.items if item.split})[:SPLITS_SHOWN]
            found = f"it has {', '.join(there)}" if there else "it does not say what is for what"
            raise InputError(f"{self.origin} has nothing of the split {split!r}; {found}.")
        others = tuple(i for i in self.items if i.split and _known_split(i.split) != wanted)
        return replace(self, items=mine), replace(self, items=others)


def dataset_of_stack(
    stack: Stack,
    name: str,
    names: Sequence[str],
    groups: Sequence[str] = (),
    splits: Sequence[str] = (),
    keep: Sequence[int] | None = None,
    **more: Any,
) -> Dataset:
    """Make items of the images of a stack, or those to keep; ``more`` as in :class:`Dataset`."""
    has, shape, read = stack.has, stack.shape, stack.read
    items = tuple(
        Item(names[i], has, partial(read, i), groups[i] if groups else "",
             splits[i] if splits else "", index=i, shape=shape)
        for i in (range(stack.n) if keep is None else keep)
    )  # fmt: skip
    if not items:
        raise InputError(f"{name} holds no image.")
    return Dataset(items, name, stack=stack, **{"kind": stack.kind, "notes": stack.notes, **more})


def dataset_of_arrays(names: Sequence[str] | None = None, **stacks: Any) -> Dataset:
    """Make items of arrays in memory, by :data:`PARTS`: (N, ...), a list of N, or one array."""
    given = {name: _as_list(name, s) for name, s in stacks.items() if s is not None}
    lengths = {name: len(stack) for name, stack in given.items()}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{n} {name}" for name, n in lengths.items()) or "none"
        raise InputError(
            f"Numbers of arrays differ ({found}); give one of each per image, of "
            f"{', '.join(PARTS)}."
        )
    n = next(iter(lengths.values()))
    names = tuple(names) if names is not None else tuple(f"image {i}" for i in range(n))
    if len(names) != n:
        raise InputError(f"There are {len(names)} names and {n} images.")
    has = frozenset(given)
    reads = [partial(only, {part: stack[i] for part, stack in given.items()}) for i in range(n)]
    return Dataset(tuple(map(Item, names, [has] * n, reads)), "arrays")


def _as_list(name: str, stack: Any) -> Any:
    """Return something with a length, one array of the right number of axes per image."""
    if name not in AXES:
        raise InputError(f"{name!r} is not known; give {', '.join(PARTS)}.")
    if isinstance(stack, list | tuple):
        return stack
    array = stack if hasattr(stack, "shape") else np.asarray(stack)
    axes, wanted = len(array.shape), AXES[name]
    if array.dtype == object and axes == 1:
        return list(array)  # arrays of different sizes, as numpy saves them
    if axes == wanted or (axes == wanted - 1 and name == "image"):
        return [array]
    if axes == wanted + 1:
        return array
    raise InputError(
        f"{name} has shape {tuple(array.shape)}; give one array of {wanted} axes per image, or a "
        f"stack of {wanted + 1} axes."
    )


def joined(found: Iterable[Dataset], origin: str = "") -> Dataset:
    """Put several places together, in their order; what they do not agree about is left out."""
    found = tuple(found)
    if len(found) == 1:
        return found[0]
    kinds, types = {data.kind for data in found}, {data.n_types for data in found}
    return Dataset(
        tuple(chain.from_iterable(found)),
        origin or listed(data.origin for data in found),
        tuple(dict.fromkeys(chain.from_iterable(data.notes for data in found))),
        kinds.pop() if len(kinds) == 1 else "",
        types.pop() if len(types) == 1 else None,
    )


def split_of(name: str) -> str | None:
    """Return "train", "val" or "" for the name of a split; None for a test split."""
    text = name.strip().lower()
    if text in TEST_NAMES:
        return None
    if text in VAL_NAMES:
        return "val"
    return "train" if text in TRAIN_NAMES else ""


def _known_split(name: str) -> str:
    return split_of(name) or name.strip().lower()


def source_of(name: str) -> str:
    """Return the image that a numbered patch was cut from."""
    return re.sub(r"_\d+$", "", name) or name


def evenly(n: int, most: int) -> list[int]:
    """Return at most ``most`` of n places, evenly spread."""
    k = min(n, most)
    return [i * n // k for i in range(k)]


def listed(names: Iterable[str]) -> str:
    """Name the first few of many."""
    names = tuple(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# --- how data sets name the labels of an image -----------------------------------------

LABEL_ENDINGS: Mapping[str, str] = {
    "_lab": "this program",
    "_labels": "this program, many others",
    "_label": "many",
    "_inst": "hover_net",
    "_instances": "many",
    "_cp_masks": "Cellpose",
    "_seg": "Cellpose (.npy)",
    "_masks": "many",
    "_mask": "many",
    "-labelled": "QuPath scripts",
    "-labels": "QuPath scripts",
    "-label": "QuPath scripts",
    "-masks": "ImageJ",
    "-mask": "ImageJ",
    "_gt": "challenges",
    "_rois": "this program, ImageJ",
    "_annotations": "ASAP, COCO",
    "_nuclei": "PUMA",
}
"""What follows the image's name (without or with its own ending) in that of its labels, first
choice first, and who writes it."""
IMAGE_ENDINGS = ("_img", "_image", "_raw", "_he", "_original")
"""What may follow the name of an image that its labels do not have (Cellpose: ``x_img.png`` and
``x_masks.png``)."""
ANNOTATOR = "annotator"
IMAGE_FOLDERS = (
    "images", "image", "imgs", "img", "tissue images", "lizard images", "slide", "rgb",
    "rawimages", "training dataset tif rois",
)  # fmt: skip
LABEL_FOLDERS = (
    "labels", "label", "masks", "inst", "mask", "gt", "ground truth", "groundtruth", "label masks",
    "label masks modify", "annotations", "lizard labels", "training dataset geojson nuclei",
    ANNOTATOR,
)  # fmt: skip
"""Folders in which labels lie under the names of their images; case, numbers at both ends,
underscores and brackets do not matter (NuInsSeg ``tissue images``, ``label masks``; Lizard
``Lizard_Images1``, ``Lizard_Labels/Labels``; MoNuSeg ``Tissue Images``, ``Annotations``; TNBC
``Slide_01``, ``GT_01``; CryoNuSeg ``Annotator 1 (biologist)/label masks``; PUMA
``01_training_dataset_tif_ROIs``)."""
NUCLEI_FOLDER = "masks"
"""Folder with a mask per nucleus, beside ``images`` with the one image (DSB 2018)."""


def folder_name(path: Path) -> str:
    """Return a folder's name as the table has it."""
    bare = re.sub(r"[\s_-]+", " ", path.name.lower().partition("(")[0])
    return bare.strip(" 0123456789")


def lowered(name: str) -> str:
    """Return a name as files are compared: small letters, umlauts as one character (macOS)."""
    return unicodedata.normalize("NFC", name).lower()


def label_names(image: Path, stem: str) -> list[str]:
    """Names, without ending and in small letters, that labels of an image may have."""
    whole, stem = lowered(image.name), lowered(stem)
    marked = [f"{base}{end}" for base in (stem, whole, shortened(stem)) for end in LABEL_ENDINGS]
    return [*dict.fromkeys(marked), whole]


def shortened(stem: str) -> str:
    """Return the name of an image in small letters without what says that it is one."""
    ending = next((end for end in IMAGE_ENDINGS if stem.endswith(end) and stem != end), "")
    return stem.removesuffix(ending)
