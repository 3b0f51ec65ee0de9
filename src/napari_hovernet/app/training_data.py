"""Corrected labels as training data: an image, its labels, and their line in an index."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PIL import Image

from ..core.image import UInt8, as_source
from ..core.io.atomic import TEMPORARY_PREFIX, output_error, put_in_place, writable_folder
from ..core.io.index_csv import INDEX_NAME
from ..core.io.label_tiff import write_label_tiff
from ..core.training_labels import TidyParams, TrainingLabels, tidy_labels
from ..core.types import Progress
from ..errors import InputError, OutputError
from .index_rows import index_text, read_rows
from .jobs import drive

IMAGES, LABELS = "images", "labels"
"""Folders for images and labels, beside the index."""
SPLITS = ("train", "val", "test")
MICROMETRES_PER_INCH = 25_400.0
NAME_LENGTH = 100
"""Longest name of a pair; disks allow some more, endings included."""

_UNFIT = re.compile(r"[^\w.()+-]+")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{x}{i}" for x in ("com", "lpt") for i in range(1, 10))}


@dataclass(frozen=True)
class PairAbout:
    """What the index and the label file say of a pair.

    Parameters
    ----------
    source : str
        Where the image comes from; means and splits go by it.
    split : str
        "train", "val" or "test".
    mpp : float, optional
        Micrometres per pixel, None = not known.
    licence : str
        Of the image.
    corrected : bool
        Whether a person has corrected the labels.
    metadata : mapping
        How the labels were made, JSON-able; kept in the label file.

    Raises
    ------
    InputError
        If the split is another, or the mpp is not above 0.
    """

    source: str = ""
    split: str = "train"
    mpp: float | None = None
    licence: str = ""
    corrected: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"split is {self.split!r}; choose one of {', '.join(SPLITS)}.")
        if self.mpp is not None and not self.mpp > 0:
            raise InputError(f"mpp is {self.mpp}; give micrometres per pixel, or nothing.")


@dataclass(frozen=True)
class PairOptions:
    """How a pair is saved: whether one of its name is replaced, and how ids are tidied."""

    overwrite: bool = False
    tidy: TidyParams = field(default_factory=TidyParams)


@dataclass(frozen=True)
class SavedPair:
    """Where a pair lies, how many nuclei it has, and what there is to say of it."""

    name: str
    image: Path
    labels: Path
    index: Path
    n_nuclei: int
    notes: tuple[str, ...] = ()


def clean_name(text: str) -> str:
    """Turn any text into a name for files.

    Examples
    --------
    >>> clean_name("liver 3/b: nuclei"), clean_name(" / ")
    ('liver_3_b_nuclei', 'image')
    """
    name = _UNFIT.sub("_", text).strip("._ ")[:NAME_LENGTH]
    return f"{name}_" if name.split(".")[0].lower() in _RESERVED else name or "image"


def save_training_pair(
    folder: str | os.PathLike[str],
    name: str,
    image: Any,
    labels: npt.ArrayLike,
    about: PairAbout | None = None,
    options: PairOptions | None = None,
) -> SavedPair:
    """Save an image and its labels below a folder and list them in its ``index.csv``.

    Writes ``images/NAME.png`` (RGB, 8 bits), ``labels/NAME.tif`` (ids 1..n, with
    provenance) and one line of ``index.csv``; folders are made. All of it or nothing:
    an error leaves the folder as it was.

    Parameters
    ----------
    folder : path
    name : str
        Of the pair, without ending; unique in the index.
    image : array-like or ImageSource
        The image, or the region of it, that was segmented; anything ``as_source`` takes.
    labels : int array (H, W)
        Of the same size, 0 = background.
    about : PairAbout, optional
        For the index and the label file.
    options : PairOptions, optional
        Whether to replace a pair of that name; ids.

    Returns
    -------
    SavedPair

    Raises
    ------
    InputError
        If the name is no file name or taken, the sizes differ, or the index is damaged.
    OutputError
        If a file cannot be written.

    Examples
    --------
    >>> pair = save_training_pair("mine", "slide_1", image, labels)  # doctest: +SKIP
    >>> nh.find_pairs("mine")  # doctest: +SKIP
    """
    return drive(pair_steps(folder, name, image, labels, about, options))


def pair_steps(
    folder: str | os.PathLike[str],
    name: str,
    image: Any,
    labels: npt.ArrayLike,
    about: PairAbout | None = None,
    options: PairOptions | None = None,
) -> Generator[Progress, None, SavedPair]:
    """Save a pair step by step; see :func:`save_training_pair`.

    Yields
    ------
    Progress
        One before each phase.
    """
    about, options = about or PairAbout(), options or PairOptions()
    _check_name(name)
    yield Progress(0, 3, "Reading the image ...")
    pixels = _pixels(image, labels)
    yield Progress(1, 3, "Looking at the labels ...")
    tidy = tidy_labels(labels, options.tidy)
    yield Progress(2, 3, "Saving ...")
    base = writable_folder(folder)
    targets = {
        "image": base / IMAGES / f"{name}.png",
        "labels": base / LABELS / f"{name}.tif",
        "index": base / INDEX_NAME,
    }
    index = _index(targets, name, about, tidy, options)
    _write(base, targets, pixels, tidy, about, index)
    return SavedPair(
        name, targets["image"], targets["labels"], targets["index"], tidy.n, tidy.notes
    )


def _check_name(name: str) -> None:
    if clean_name(name) != name:
        raise InputError(
            f"{name!r} is no name for files: use letters, digits, '.', '-' and '_', as in "
            f"{clean_name(name)!r}."
        )


def _pixels(image: Any, labels: npt.ArrayLike) -> UInt8:
    """Return the whole image as (H, W, 3) uint8, of the labels' size."""
    source = as_source(image)
    shape = tuple(getattr(labels, "shape", ()))
    if source.shape != shape:
        raise InputError(
            f"The image is {source.shape[0]} x {source.shape[1]} pixels, the labels have shape "
            f"{shape}; save the labels with the very region they were drawn on."
        )
    return source.read(0, source.shape[0], 0, source.shape[1])


def _index(
    targets: Mapping[str, Path],
    name: str,
    about: PairAbout,
    tidy: TrainingLabels,
    options: PairOptions,
) -> str:
    """Return the text of the index with the pair in it; refuse a name that is taken."""
    columns, rows, delimiter = read_rows(targets["index"])
    taken = [row for row in rows if row.get("name") == name]
    files = [targets[what] for what in ("image", "labels") if targets[what].exists()]
    if (taken or files) and not options.overwrite:
        where = "the index" if taken else str(files[0])
        raise InputError(
            f"{name!r} is there already ({where}): choose another name, or let it be replaced."
        )
    row = {
        "name": name,
        "source": about.source,
        "split": about.split,
        "path": f"{IMAGES}/{name}.png",
        "label": f"{LABELS}/{name}.tif",
        "approx_mpp": "" if about.mpp is None else f"{about.mpp:g}",
        "licence": about.licence,
        "n_nuclei": str(tidy.n),
        "corrected": "yes" if about.corrected else "no",
    }
    return index_text(columns, rows, row, delimiter)


def _write(
    base: Path,
    targets: Mapping[str, Path],
    pixels: UInt8,
    tidy: TrainingLabels,
    about: PairAbout,
    index: str,
) -> None:
    """Write all three beside, then put them in place; undo what was placed on an error."""
    staging = base / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp"
    made = [path for path in (base / IMAGES, base / LABELS) if not path.exists()]
    done = False
    try:
        staging.mkdir()
        for path in made:
            path.mkdir()
        dpi = MICROMETRES_PER_INCH / about.mpp if about.mpp else None
        extra = {"dpi": (dpi, dpi)} if dpi else {}
        Image.fromarray(pixels).save(staging / "image", format="PNG", **extra)
        metadata = {**about.metadata, "notes": list(tidy.notes)}
        write_label_tiff(staging / "labels", tidy.labels, mpp=about.mpp, metadata=metadata)
        (staging / "index").write_text(index, encoding="utf-8", newline="")
        put_in_place([(staging / what, target) for what, target in targets.items()], staging)
        done = True
    except OSError as error:
        raise output_error(base, error) from error
    except OutputError as error:
        if isinstance(error.__cause__, OSError):
            raise output_error(targets["labels"], error.__cause__) from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for path in made if not done else ():
            shutil.rmtree(path, ignore_errors=True)
