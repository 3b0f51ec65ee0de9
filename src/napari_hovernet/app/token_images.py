"""Turn images into the files of a token decoder: features, and the images with their labels."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ..core.backbone import Backbone, prefix_tokens, token_steps
from ..core.image import UInt8
from ..core.io.atomic import atomic_path
from ..core.io.dataset import DataChoice, Pair
from ..core.io.images import read_image
from ..core.io.labels_file import read_labels
from ..core.io.pairs import find_data
from ..core.networks.optimus import OUTPUT
from ..core.token_cache import TokenFile
from ..core.token_data import nearest
from ..core.training.sources.patches import eight_bits
from ..core.training.stores import npz_members, open_member, open_npy
from ..core.types import Int32, Progress
from ..errors import InputError

FEATURES, DATA = "_features.npz", "_data_FIXED.npz"
SHRUNK = 2.0
"""Images more than this much larger than the backbone's input lose their nuclei."""


class Pictures(Protocol):
    """Images by number; one more kind of place is one more class."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        ...

    def read(self, index: int) -> UInt8:
        """Read an image, uint8 (H, W, 3)."""
        ...

    def labels(self, index: int) -> Int32 | None:
        """Read its true labels (H, W), None if there are none."""
        ...


@dataclass(frozen=True)
class ArrayPictures:
    """Images of one array (N, H, W, 3) in an .npy or .npz; its targets stay where they are.

    Parameters
    ----------
    path : Path
    name : str
        Of the array in an .npz, "" of an .npy.

    Raises
    ------
    InputError
        If there is no such array.
    """

    path: Path
    name: str = ""

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or self.array.shape[3] != 3 or not len(self.array):
            raise InputError(
                f"{self.path} has images of shape {self.array.shape}; they must be (N, H, W, 3)."
            )

    @property
    def array(self) -> npt.NDArray[Any]:
        """The array, mapped into memory where it can be."""
        return open_member(self.path, self.name) if self.name else open_npy(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers of the images."""
        return tuple(str(i) for i in range(len(self.array)))

    def read(self, index: int) -> UInt8:
        """Read one image; floats of 0..1 are multiplied by 255."""
        image = np.array(self.array[index])
        unit = image.dtype.kind == "f" and float(image.max(initial=0)) <= 1.0
        return eight_bits(image, f"image {index}", 255.0 if unit else 1.0)

    def labels(self, index: int) -> Int32 | None:
        """Return None: the targets lie beside the images already."""
        del index
        return None


@dataclass(frozen=True)
class FilePictures:
    """Image files, with label files where there are any.

    Parameters
    ----------
    pairs : tuple of Pair
    """

    pairs: tuple[Pair, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        return tuple(pair.name for pair in self.pairs)

    def read(self, index: int) -> UInt8:
        """Read one image."""
        source = read_image(self.pairs[index].image).source
        height, width = source.shape
        return source.read(0, height, 0, width)

    def labels(self, index: int) -> Int32 | None:
        """Read its labels."""
        file = self.pairs[index].labels
        return None if file is None else read_labels(file).labels


@dataclass(frozen=True)
class TokenCache:
    """What was written.

    Parameters
    ----------
    files : tuple of Path
    shape : tuple of int
        (N, T, D) of the tokens.
    prefix : int
        Tokens before the patches.
    notes : tuple of str
    """

    files: tuple[Path, ...]
    shape: tuple[int, ...]
    prefix: int
    notes: tuple[str, ...] = field(default=())


def find_pictures(path: Path) -> Pictures:
    """Find images: a family's data file, an ``images.npy``, a folder, an index or one image.

    Raises
    ------
    InputError
        If there are none.

    Examples
    --------
    >>> find_pictures(Path("tiles")).names  # doctest: +SKIP
    ('a', 'b')
    """
    if path.suffix.lower() == ".npy":
        return ArrayPictures(path)
    if path.suffix.lower() == ".npz":
        if "images" not in npz_members(path):
            open_member(path, "images")  # says what is there instead
        return ArrayPictures(path, "images")
    found = find_data(path, DataChoice(need_labels=False))
    return FilePictures((*found.pairs, *found.unpaired))


def cache_steps(
    pictures: Pictures, backbone: Backbone, output: Path
) -> Generator[Progress, None, TokenCache]:
    """Compute the tokens of images and write them, step by step.

    Image files are also written, at 224 x 224, as ``F_data_FIXED.npz`` with ``inst_maps``
    if all have labels, so that the folder can be used for evaluation and training at once.

    Parameters
    ----------
    pictures : Pictures
    backbone : Backbone
    output : Path
        ``F_features.npz``.

    Raises
    ------
    InputError
        If the name does not end so, or an image cannot be used.
    OutputError
        If a file cannot be written; nothing is left then.
    """
    if not output.name.endswith(FEATURES):
        raise InputError(f"{output.name} must be named FAMILY{FEATURES}, to be found again.")
    n, shape, notes = len(pictures.names), (0, 0), _size_notes(pictures, backbone)
    extra = {"image_ids": np.array(pictures.names)}
    with TokenFile(output, backbone.array, n, extra) as file:
        for step in token_steps(backbone, pictures.read, n):
            if isinstance(step, Progress):
                yield step
                continue
            shape = step.shape[1:]
            file.extra["token_prefix"] = np.array(prefix_tokens(backbone.module, shape[0]))
            file.add(step)
    prefix = prefix_tokens(backbone.module, shape[0])
    files: tuple[Path, ...] = (output,)
    if isinstance(pictures, FilePictures):
        yield Progress(n, n, "Writing the images ...")
        data, more = _write_data(pictures, output)
        files, notes = (output, data), (*notes, *more)
    return TokenCache(files, (n, *shape), prefix, notes)


def _size_notes(pictures: Pictures, backbone: Backbone) -> tuple[str, ...]:
    """Say so where images are much larger than what the backbone sees."""
    height, width = pictures.read(0).shape[:2]
    size = backbone.params.size
    if max(height, width) <= SHRUNK * size:
        return ()
    return (
        f"the first image is {height} x {width} pixels and is resized to {size} x {size}: its "
        f"nuclei shrink {max(height, width) / size:.1f} times. Cut it into tiles of about {size} "
        "pixels first",
    )


def _write_data(pictures: FilePictures, output: Path) -> tuple[Path, tuple[str, ...]]:
    path = output.with_name(output.name.removesuffix(FEATURES) + DATA)
    n = len(pictures.names)
    edges = (OUTPUT, OUTPUT)
    images = [cv2.resize(pictures.read(i), edges, interpolation=cv2.INTER_AREA) for i in range(n)]
    labels = [pictures.labels(i) for i in range(n)]
    arrays: dict[str, Any] = {"images": np.stack(images), "image_ids": np.array(pictures.names)}
    known = [nearest(x).astype(np.int32) for x in labels if x is not None]
    notes: tuple[str, ...] = ()
    if len(known) == n:
        arrays["inst_maps"] = np.stack(known)
    elif known:
        notes = (f"only {len(known)} of {n} images have labels: they are left out",)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return path, notes
