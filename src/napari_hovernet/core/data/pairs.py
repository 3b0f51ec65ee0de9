"""Images and their labels, out of a folder or an index."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..inference.images import ArraySource, ImageSource
from ..io.files import readable
from ..io.labels import Instances
from ..io.open import LABEL_SUFFIXES, SUFFIXES, read_image, read_labels
from ..io.scale import MPP_RANGE, micrometres
from ..limits import check_file
from ..types import Int32
from . import items
from .items import (
    ANNOTATOR,
    IMAGE_FOLDERS,
    LABEL_ENDINGS,
    LABEL_FOLDERS,
    NUCLEI_FOLDER,
    TEST_NAMES,
    TRAIN_NAMES,
    VAL_NAMES,
    Dataset,
    Item,
    evenly,
    folder_name,
    joined,
    label_names,
    listed,
    lowered,
    shortened,
    split_of,
)
from .stores import only

T = TypeVar("T")
Pair = items.Pair
ALSO_IMAGES = frozenset(SUFFIXES) & frozenset(LABEL_SUFFIXES)
"""Endings of files that may be an image or labels."""
SLIDE_SUFFIXES = (".svs", ".ndpi")
INDEX_NAME = "index.csv"
"""A folder that holds a file of this name is read by it."""
IMAGE_COLUMNS = ("path", "image")
LABEL_COLUMNS = ("label", "labels")
MPP_COLUMNS = ("mpp", "approx_mpp")
GROUP_COLUMNS = ("source_image", "slide", "case", "patient", "image_id")
"""Columns of an index that name what an image was cut from."""
OWN_COLUMN = "corrected"
"""An index with this column was written by this program: its ``source`` names the slide."""
DELIMITERS = ",;\t|"
MAX_INDEX_BYTES = 2**28
ABOUT = re.compile(
    r"~?\s*(?P<number>(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?)"
    r"(\s*(?P<unit>[µμ]m|um|nm|mm|microns?)(/px)?)?(\s|$)", re.IGNORECASE
)  # fmt: skip
"""A number, as in "0.25", "250 nm", or about one, as in "~0.5 (looks 20x)"."""
SHOWN = 5
"""Names that are shown in an error."""
DEEPEST, MAX_FOLDERS = 4, 200
"""How deep, and among how many folders of a folder, a data set is looked for."""
WHOLE = 1536
"""Longest edge, pixels, of an image that is read whole where a region is enough."""
REGION = 1024
"""Edge of the region that is read of a larger one."""


@dataclass(frozen=True)
class DataChoice:
    """Which pairs of a data set are meant."""

    split: str | None = None  # Only these, as the index names them, or of this folder
    source: str | None = None  # Only these, as the index names them
    labels: Path | None = None  # Folder of the labels, or the label file of a single image
    pattern: str | None = None  # Only images whose file names are like this, as "*_he.png"
    need_labels: bool = True  # Whether images without labels are of no use


def find_pairs(
    path: str | PathLike[str],
    split: str | None = None,
    labels: str | PathLike[str] | None = None,
    pattern: str | None = None,
) -> tuple[Pair, ...]:
    """List the images of a data set that have labels; see :func:`find_data`."""
    folder = None if labels is None else Path(labels)
    return find_data(path, DataChoice(split=split, labels=folder, pattern=pattern)).pairs


def find_data(path: str | PathLike[str], choice: DataChoice | None = None) -> Dataset:
    """List images and their labels: of an index, in its order, else by name."""
    path, choice = Path(path), choice or DataChoice()
    if not path.exists():
        raise InputError(f"{path} is not there; check the path.")
    index = path if path.suffix.lower() == ".csv" else path / INDEX_NAME
    if index.is_file():
        return _dataset(read_index(index, choice), index, choice)
    if choice.source is not None:
        raise InputError(
            f"{path} has no {INDEX_NAME}, which alone tells the source of an image; leave "
            f"source {choice.source!r} out."
        )
    if not path.is_dir():
        return _dataset((_single(path, choice),), path, choice)
    folder = _split_folder(path, choice.split)
    if (folder / INDEX_NAME).is_file():
        return find_data(folder / INDEX_NAME, replace(choice, split=None))
    found = _folder_pairs(folder, choice)
    if choice.need_labels and choice.labels is None and not any(pair.labels for pair in found):
        found = _pairs_below(folder, choice) or found
    return _dataset(found, folder, choice)


def _pairs_below(root: Path, choice: DataChoice) -> tuple[Pair, ...]:
    """List the images with labels in the folders of a folder, as published data sets have them."""
    places = [(p, tuple(x for x in pairs if x.labels)) for p, pairs in _trees(root, choice, 0)]
    twins = Counter(pair.name for _, pairs in places for pair in pairs)
    found = []
    for place, pairs in places:
        where = place.relative_to(root)
        split = next((name for name in where.parts if split_of(name) != ""), "")
        for pair in pairs:
            name = pair.name if twins[pair.name] == 1 else f"{where.as_posix()}/{pair.name}"
            found.append(replace(pair, name=name, source=where.as_posix(), split=split))
    return tuple(found)


def _trees(folder: Path, choice: DataChoice, depth: int) -> Iterator[tuple[Path, tuple[Pair, ...]]]:
    """Yield the folders below, not too deep, in which images have labels."""
    pairs = _folder_pairs(folder, choice) if depth else ()
    if any(pair.labels for pair in pairs):
        yield folder, pairs
        return
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    for place in below[:MAX_FOLDERS] if depth < DEEPEST else ():
        yield from _trees(place, choice, depth + 1)


def find_splits(path: Path, split: str | None = None, *, need_labels: bool = False) -> Dataset:
    """List images and labels of a place that may be divided into folders (train, val ...)."""
    choice = DataChoice(need_labels=need_labels)
    folders: list[Path] = []
    if path.is_dir() and not (path / INDEX_NAME).is_file():
        names = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)
        named = [p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in names]
        folders = named if any(split_of(p.name) for p in named) else []
        if split and not folders and (path / split).is_dir():
            folders = [path / split]
    if not folders:
        return find_data(path, choice)
    found = []
    for folder in folders:
        tested = split_of(folder.name) is None
        data = find_data(folder, replace(choice, need_labels=need_labels and not tested))
        found.append(replace(data, items=tuple(replace(i, split=folder.name) for i in data)))
    return joined(found, str(path))


def spread(pairs: Sequence[T], n: int | None) -> tuple[T, ...]:
    """Return ``n`` of the pairs, evenly spread over their order; all if there are no more."""
    if n is not None and n < 1:
        raise InputError(f"The number of samples is {n}; give 1 or more.")
    return tuple(pairs) if n is None else tuple(pairs[i] for i in evenly(len(pairs), n))


# --- files of a folder ----------------------------------------------------------------


def bare_name(path: Path) -> str:
    """Return a file's name without its ending; ``.ome.tif`` is one."""
    stem = path.stem
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > len(".ome") else stem


def list_files(folder: Path) -> dict[str, Path]:
    """List the files of a folder by their names in lower case; hidden ones are left out."""
    try:
        found = sorted(folder.iterdir())
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not there; check the path.") from error
    except NotADirectoryError as error:
        raise InputError(f"{folder} is a file; give a folder.") from error
    except OSError as error:
        raise InputError(f"Cannot look into {folder}: {error.strerror or error}.") from error
    files: dict[str, Path] = {}
    for path in (p for p in found if not p.name.startswith(".") and p.is_file()):
        other = files.setdefault(lowered(path.name), path)
        if other is not path and path.suffix.lower() in (*SUFFIXES, *LABEL_SUFFIXES):
            raise InputError(
                f"{folder} has {other.name} and {path.name}, which differ in upper and lower case "
                "alone; rename one of them."
            )
    return files


def image_files(files: Mapping[str, Path]) -> list[Path]:
    """Return the images among files: those with an image's ending that are nobody's labels."""
    images = [path for path in files.values() if path.suffix.lower() in SUFFIXES]
    names = {lowered(bare_name(path)) for path in images}
    names |= {shortened(name) for name in names}

    def owned(name: str) -> bool:
        return any(name.endswith(e) and name.removesuffix(e) in names for e in LABEL_ENDINGS)

    return [path for path in images if not owned(lowered(bare_name(path)))]


def labels_of(image: Path, files: Mapping[str, Path], *, apart: bool) -> Path | None:
    """Find the labels of an image among the files of a folder."""
    stem = lowered(bare_name(image))
    plain = [f"{stem}{s}" for s in LABEL_SUFFIXES if apart or s not in ALSO_IMAGES]
    marked = [f"{name}{s}" for name in label_names(image, stem) for s in LABEL_SUFFIXES]
    for name in (*plain, *marked) if apart else (*marked, *plain):
        if name in files and files[name].resolve() != image.resolve():
            return files[name]
    return None


def _split_folder(path: Path, split: str | None) -> Path:
    if split is None:
        return path
    if split in ("", ".", "..") or not (path / split).is_dir():
        raise InputError(
            f"{path} has neither an {INDEX_NAME} nor a folder {split!r}, so it is not known what "
            "belongs to that split."
        )
    return path / split


def _single(image: Path, choice: DataChoice) -> Pair:
    """Take one image, with a label file named for it, or the one beside it."""
    found = choice.labels
    if found is None or not found.is_file():
        files = list_files(found or image.parent)
        found = labels_of(image, files, apart=choice.labels is not None)
    return Pair(bare_name(image), image, found)


def _folder_pairs(folder: Path, choice: DataChoice) -> tuple[Pair, ...]:
    files = list_files(folder)
    images, labels, apart = image_files(files), files, choice.labels is not None
    if choice.labels is not None:
        images = images or image_files(_below(folder, IMAGE_FOLDERS))
        labels = list_files(choice.labels)
    else:
        below = _below(folder, IMAGE_FOLDERS), _below(folder, LABEL_FOLDERS)
        if all(below):
            images, labels, apart = list(below[0].values()), below[1], True
        if several := _one_mask_per_nucleus(folder, choice):
            return several
    wanted = [p for p in images if p.suffix.lower() in SUFFIXES and _fits(p, choice)]
    found = {p: labels_of(p, labels, apart=apart) for p in wanted}
    if choice.need_labels:  # MoNuSAC has each image twice, as x.tif and x.svs, with one x.xml
        plain = {label for p, label in found.items() if p.suffix.lower() not in SLIDE_SUFFIXES}
        slides = {p for p in found if p.suffix.lower() in SLIDE_SUFFIXES and found[p] in plain}
        found = {p: label for p, label in found.items() if not (label and p in slides)}
    twins = Counter(bare_name(p).lower() for p in found)
    names = [p.name if twins[bare_name(p).lower()] > 1 else bare_name(p) for p in found]
    return tuple(Pair(name, p, found[p]) for name, p in zip(names, found, strict=True))


def _below(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """List the files of the folders that have the first of the names that is there.

    Numbers count as one (``images1``, ``images2``); of one file that of the shortest name.
    """
    folders = [p for p in sorted(folder.iterdir(), key=lambda p: -len(p.name)) if p.is_dir()]
    for name in names:
        mine = [p for p in folders if folder_name(p) == name]
        found = {k: v for p in mine for k, v in (list_files(p) or _below(p, names)).items()}
        if mine:
            return found
    return {}


def _one_mask_per_nucleus(folder: Path, choice: DataChoice) -> tuple[Pair, ...]:
    """List images with a folder of masks each: ``ID/images/ID.png``, ``ID/masks/*.png``."""
    found = []
    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        masks, images = place / NUCLEI_FOLDER, place / IMAGE_FOLDERS[0]
        if not (masks.is_dir() and images.is_dir()):
            continue
        shown, files = image_files(list_files(images)), list_files(masks)
        own = len(shown) == 1 and files and labels_of(shown[0], files, apart=True) is None
        if own and _fits(shown[0], choice):
            found.append(Pair(bare_name(shown[0]), shown[0], masks))
    return tuple(found)


def _fits(image: Path, choice: DataChoice) -> bool:
    return choice.pattern is None or fnmatch(image.name, choice.pattern)


def _dataset(found: Sequence[Pair], path: Path, choice: DataChoice) -> Dataset:
    """Make items of what was found, and refuse what is of no use."""
    if not found:
        wanted = choice.pattern or ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise InputError(f"{path} holds no image ({wanted}){_folders_in(path)}.")
    parts = (part for pair in found if pair.labels for part in pair.labels.parts)
    who = next((part for part in parts if part.lower().startswith(ANNOTATOR)), None)  # CryoNuSeg
    note = f"the labels are those of {who!r}; --labels names another's folder"
    items = tuple(
        Item(p.name, frozenset({"image", "labels"} if p.labels else {"image"}),
             partial(read_pair, p), p.group, p.split, p)
        for p in found
    )  # fmt: skip
    data = Dataset(items, str(path), notes=(note,) if who else ())
    if choice.need_labels and not data.pairs:
        raise InputError(_nothing_paired(path, data.unpaired, choice))
    return data


def _folders_in(path: Path) -> str:
    """Name the folders that may have been meant."""
    there = sorted(path.iterdir()) if path.is_dir() else ()
    names = [p.name for p in there if p.is_dir() and not p.name.startswith(".")][:SHOWN]
    return f"; it has the folders {', '.join(names)}: give one of them" if names else ""


def _nothing_paired(path: Path, unpaired: tuple[Pair, ...], choice: DataChoice) -> str:
    names = ", ".join(pair.image.name for pair in unpaired[:SHOWN])
    more = " ..." if len(unpaired) > SHOWN else ""
    first = next(iter(LABEL_ENDINGS))
    ends, kinds = ", ".join(LABEL_ENDINGS), ", ".join(LABEL_SUFFIXES)
    where = (
        f"beside each image (its name with {ends}), in a folder labels/ beside images/, and in "
        f"an {INDEX_NAME}"
    )
    if choice.labels is not None:
        where = f"in {choice.labels} (the image's name, alone or with {ends})"
    return (
        f"{path}: {len(unpaired)} image(s) without labels ({names}{more}). Looked {where}, as "
        f"{kinds}; for example {bare_name(unpaired[0].image)}{first}.png. Name the "
        "folder of the labels if they lie elsewhere."
    )


# --- an index -------------------------------------------------------------------------

Row = dict[str, str]


def read_index(file: Path, choice: DataChoice) -> tuple[Pair, ...]:
    """Read the lines that are meant."""
    rows = _rows(file)
    header = tuple(next(iter(rows.values())))
    image, label = _column(header, IMAGE_COLUMNS), _column(header, LABEL_COLUMNS)
    need = choice.need_labels and choice.labels is None
    for found, names, what in (
        (image, IMAGE_COLUMNS, "the image files"),
        (label or not need, LABEL_COLUMNS, "the label files"),
    ):
        if not found:
            raise InputError(
                f"{file} has no column {' or '.join(names)} with {what}; its columns are "
                f"{', '.join(header)}."
            )
    unnamed = next((number for number, row in rows.items() if not row[image]), None)
    if unnamed is not None:
        raise InputError(f"{file}, line {unnamed}: the image is not named; fill it in.")
    groups = (*GROUP_COLUMNS, *(["source"] if OWN_COLUMN in header else []))
    mpp, group = _column(header, MPP_COLUMNS), _column(header, groups if "name" in header else ())
    pairs = [
        Pair(
            name,
            file.parent / _slashes(row[image]),
            file.parent / _slashes(row[label]) if row.get(label) else None,
            row.get("source", ""),
            _mpp(file, number, row.get(mpp, "")),
            row.get("split", ""),
            row.get(group, ""),
        )
        for name, (number, row) in zip(_names(file, rows, image), rows.items(), strict=True)
    ]
    pairs = _chosen(file, header, pairs, choice)
    missing = [str(pair.image) for pair in pairs if not pair.image.exists()]
    if len(missing) == len(pairs):  # single ones show when they are read
        raise InputError(
            f"None of the images in {file} is there: {listed(missing)}. Paths are relative to "
            "the folder of the index."
        )
    if choice.labels is not None:
        files = list_files(choice.labels)
        pairs = [replace(p, labels=labels_of(p.image, files, apart=True)) for p in pairs]
    return tuple(pairs)


def _rows(file: Path) -> dict[int, Row]:
    """Read the lines by their numbers in the file, as texts by column."""
    text = read_text(file)
    text = re.sub(r"^sep=.\n", "", text, flags=re.IGNORECASE)  # Excel's first line
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    try:
        wide = io.StringIO(text, newline="")
        lines = list(csv.reader(wide, delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"{file} is no CSV table: {error}.") from error
    header = [name.strip().lower() for name in lines[0]] if lines else []
    twice = [name for name, n in Counter(header).items() if n > 1 and name]
    if twice:
        raise InputError(f"{file} has the column {twice[0]!r} twice; name each column once.")
    rows = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(map(str.strip, line)):
            continue
        if len(line) != len(header):
            raise InputError(
                f"{file}, line {number}: {len(line)} fields for {len(header)} columns; put texts "
                f"that hold {delimiter!r} into quotes."
            )
        cells = zip(header, map(str.strip, line), strict=True)
        rows[number] = {name: text for name, text in cells if name}
    if not rows:
        raise InputError(f"{file} names no image; it needs a line of column names, then images.")
    return rows


def read_text(file: Path) -> str:
    """Read a table that any program wrote: UTF-8, UTF-16 (Excel's "Unicode text") or Latin-1."""
    check_file(file, "a CSV table", MAX_INDEX_BYTES)
    with readable(file):
        data = file.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.replace("\r\n", "\n")
    raise InputError(f"{file} is no text table; save it as CSV UTF-8.")


def _column(header: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in header), "")


def _names(file: Path, rows: Mapping[int, Row], image: str) -> list[str]:
    """Names as given, else those of the files, with folders where two would be alike."""
    paths = [Path(_slashes(row[image])) for row in rows.values()]
    short = Counter(map(bare_name, paths))
    names = []
    for row, path in zip(rows.values(), paths, strict=True):
        alone = short[bare_name(path)] == 1
        name = bare_name(path) if alone else path.with_suffix("").as_posix()
        names.append(row.get("name") or name)
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        lines = [str(n) for n, name in zip(rows, names, strict=True) if name == twice]
        raise InputError(
            f"{file} names {twice!r} in lines {', '.join(lines)}; give each image one line and a "
            "name of its own."
        )
    return names


def _slashes(text: str) -> str:
    return text.replace("\\", "/")


def _mpp(file: Path, number: int, text: str) -> float | None:
    if not text:
        return None
    found = ABOUT.match(text.replace(",", "."))
    value = float(found["number"]) * (micrometres(found["unit"] or "um") or 0) if found else 0.0
    low, high = MPP_RANGE
    if not low <= value <= high:
        raise InputError(
            f"{file}, line {number}: mpp is {text!r}; give micrometres per pixel, {low:g} to "
            f"{high:g}, or nothing."
        )
    return value


def _chosen(file: Path, header: Sequence[str], pairs: list[Pair], choice: DataChoice) -> list[Pair]:
    """Keep what split, source and pattern name, or say what there is."""
    for what, wanted in (("split", choice.split), ("source", choice.source)):
        if wanted is None:
            continue
        if what not in header:
            raise InputError(f"{file} has no column {what}, so {wanted!r} is not in it.")
        kept = [pair for pair in pairs if getattr(pair, what) == wanted]
        if not kept:
            there = ", ".join(sorted({getattr(pair, what) or "(none)" for pair in pairs}))
            raise InputError(f"{file} has no image of {what} {wanted!r}, only of {there}.")
        pairs = kept
    kept = [pair for pair in pairs if _fits(pair.image, choice)]
    if not kept:
        raise InputError(f"{file} names no image like {choice.pattern!r} among those meant.")
    return kept


# --- reading --------------------------------------------------------------------------


def read_pair(pair: Pair, parts: Sequence[str]) -> dict[str, Any]:
    """Read pixels as stored, labels and types; of a large image a region with nuclei in it."""
    source = read_image(pair.image).source
    made: dict[str, Any] = {}
    if pair.labels is not None and {"labels", "types"} & set(parts):
        instances = read_labels(pair.labels, source.shape, bare_name(pair.image))
        made = {"labels": instances.labels, "types": type_map(instances)}
    labels = made.get("labels")
    fits = labels is None or labels.shape == source.shape
    box = (0, source.shape[0], 0, source.shape[1])
    where = {}
    if max(source.shape) > WHOLE and fits:
        r0, r1, c0, c1 = box = _region(source.shape, labels)
        made = {k: v[r0:r1, c0:c1] for k, v in made.items() if v is not None}
        where = {"name": f"{pair.name} (rows {r0} to {r1}, columns {c0} to {c1})"}
    if "image" in parts:
        made["image"] = _pixels(source, box)
    return {**only(made, parts), **where}


def _pixels(source: ImageSource, box: tuple[int, int, int, int]) -> npt.NDArray[Any]:
    """Return pixels as they are stored, where the file was read whole."""
    r0, r1, c0, c1 = box
    if not isinstance(source, ArraySource) or not isinstance(source.array, np.ndarray):
        return source.read(r0, r1, c0, c1)
    if not source.channel_first:
        return np.array(source.array[r0:r1, c0:c1])
    return np.moveaxis(np.array(source.array[:, r0:r1, c0:c1]), 0, -1)


def _region(shape: tuple[int, int], labels: Int32 | None) -> tuple[int, int, int, int]:
    """Return the region that is looked at: around the middle of the nuclei."""
    box: list[int] = []
    for axis, size in enumerate(shape):
        middle, edge = size / 2, min(REGION, size)
        if labels is not None and labels.any():
            middle = float(np.median(np.flatnonzero(labels.any(axis=1 - axis))))
        begin = int(min(max(middle - edge / 2, 0), size - edge))
        box += [begin, begin + edge]
    return (box[0], box[1], box[2], box[3])


def type_map(instances: Instances) -> Int32 | None:
    """Type of each pixel, None where no nucleus has one."""
    if not instances.type.any():
        return None
    place = np.searchsorted(instances.ids, instances.labels.ravel())
    types = np.append(instances.type, 0)[np.minimum(place, len(instances.ids))]
    return np.where(instances.labels.ravel() > 0, types, 0).reshape(instances.labels.shape)
