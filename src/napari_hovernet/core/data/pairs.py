"""Images and their labels, out of a folder or an index."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..hv import compact_ids
from ..inference.devices import free_memory
from ..io.labels import Instances
from ..io.open import LABEL_SUFFIXES, SUFFIXES, read_image, read_labels
from ..types import Int32
from .items import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Haul, joined, listed, split_of
from .samples import Sample, SizeError


@dataclass(frozen=True)
class Pair:
    """An image and its labels; nothing of them has been read yet."""

    name: str  # What it is called in tables
    image: Path
    labels: Path | None  # None where no labels belong to the image
    source: str = ""  # Where it comes from, for means per source
    mpp: float | None = None  # Micrometres per pixel by the index, None = not stated
    split: str = ""  # "train", "val" ..., "" = not known


def spread(pairs: Sequence[Pair], n: int | None) -> tuple[Pair, ...]:
    """Return ``n`` of the pairs, evenly spread over their order; all if there are no more."""
    if n is None:
        return tuple(pairs)
    if n < 1:
        raise InputError(f"The number of samples is {n}; give 1 or more.")
    n = min(n, len(pairs))
    return tuple(pairs[i * len(pairs) // n] for i in range(n))


@dataclass(frozen=True)
class DataChoice:
    """Which pairs of a data set are meant."""

    split: str | None = None  # Only these, as the index names them
    source: str | None = None  # Only these, as the index names them
    labels: Path | None = None
    pattern: str | None = None  # Only images whose file names are like this, as "*_he.png".
    need_labels: bool = True  # Whether images without labels are of no use

    def takes(self, image: Path) -> bool:
        """Whether the file's name fits the pattern."""
        return self.pattern is None or fnmatch(image.name, self.pattern)


@dataclass(frozen=True)
class DataSet:
    """What was found."""

    pairs: tuple[Pair, ...]  # Images with labels, by name (of an index: in its order)
    unpaired: tuple[Pair, ...]  # Images without labels
    origin: str  # Where the pairs come from, for messages: a path
    notes: tuple[str, ...] = ()  # What was assumed


LABEL_ENDINGS = ("_lab", "_labels", "_label", "_inst", "_instances", "_mask", "_masks")
"""What follows the image's name in that of its labels, first choice first."""
ALSO_IMAGES = frozenset(SUFFIXES) & frozenset(LABEL_SUFFIXES)
"""Endings of files that may be an image or labels."""
OME = ".ome"


def bare_name(path: Path) -> str:
    """Return a file's name without its ending; ``.ome.tif`` is one."""
    stem = path.stem
    return stem[: -len(OME)] if stem.lower().endswith(OME) and stem.lower() != OME else stem


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
    return {p.name.lower(): p for p in found if not p.name.startswith(".") and p.is_file()}


def image_files(files: Mapping[str, Path]) -> list[Path]:
    """Return the images among files: those with an image's ending that are nobody's labels."""
    images = [path for path in files.values() if path.suffix.lower() in SUFFIXES]
    names = {bare_name(path).lower() for path in images}
    return [path for path in images if not _labels_of_another(path, names)]


def _labels_of_another(path: Path, names: set[str]) -> bool:
    name = bare_name(path).lower()
    owners = (name.removesuffix(end) for end in LABEL_ENDINGS if name.endswith(end))
    return any(owner in names for owner in owners)


def labels_of(image: Path, files: Mapping[str, Path], *, apart: bool) -> Path | None:
    """Find the labels of an image among the files of a folder."""
    stem = bare_name(image).lower()
    own = [s for s in LABEL_SUFFIXES if apart or s not in ALSO_IMAGES]
    marked = [f"{stem}{end}{suffix}" for end in LABEL_ENDINGS for suffix in LABEL_SUFFIXES]
    plain = [f"{stem}{suffix}" for suffix in own]
    for name in (*plain, *marked) if apart else (*marked, *plain):
        if name in files and files[name].resolve() != image.resolve():
            return files[name]
    return None


INDEX_NAME = "index.csv"
"""A folder that holds a file of this name is read by it."""
IMAGE_COLUMNS = ("path", "image")
LABEL_COLUMNS = ("label", "labels")
MPP_COLUMNS = ("mpp", "approx_mpp")
DELIMITERS = ",;\t"
ABOUT = re.compile(r"~?\s*(?P<number>\d+(\.\d*)?|\.\d+)(\s|$)")
"""A number, as in "0.25", or about one, as in "~0.5 (looks 20x)"."""
SHOWN = 3
"""Missing files that are named in an error."""


@dataclass(frozen=True)
class _Table:
    """Lines of the file as columns by name; ``lines`` are their numbers in the file."""

    file: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def column(self, names: Sequence[str]) -> list[str] | None:
        return next((self.columns[name] for name in names if name in self.columns), None)

    def texts(self, name: str) -> list[str]:
        return self.columns.get(name, [""] * len(self.lines))


def read_index(file: Path, choice: DataChoice) -> tuple[Pair, ...]:
    """Read the lines that are meant."""
    table = _read(file)
    images = table.column(IMAGE_COLUMNS)
    if images is None:
        raise InputError(_lacks(table, IMAGE_COLUMNS, "the image files"))
    labels = table.column(LABEL_COLUMNS)
    if labels is None and choice.labels is None and choice.need_labels:
        raise InputError(_lacks(table, LABEL_COLUMNS, "the label files"))
    pairs = _pairs(table, images, labels or [""] * len(images))
    pairs = _chosen(table, pairs, choice)
    _check_there(file, pairs)
    return _with_labels_from(choice.labels, pairs) if choice.labels else pairs


def _read(file: Path) -> _Table:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{file} is not there; check the path.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8: {error}; save it as CSV UTF-8.") from error
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{file} is no CSV table: {error}.") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    twice = [name for name, n in Counter(header).items() if n > 1 and name]
    if twice:
        raise InputError(f"{file} has the column {twice[0]!r} twice; name each column once.")
    numbered = [(i, row) for i, row in enumerate(rows[1:], start=2) if any(map(str.strip, row))]
    for number, row in numbered:
        if len(row) != len(header):
            raise InputError(
                f"{file}, line {number}: {len(row)} fields for {len(header)} columns; put texts "
                f"that hold {delimiter!r} into quotes."
            )
    if not numbered:
        raise InputError(f"{file} names no image; it needs a line of column names, then images.")
    columns = {name: [r[k].strip() for _, r in numbered] for k, name in enumerate(header)}
    return _Table(file, columns, [number for number, _ in numbered])


def _lacks(table: _Table, names: Sequence[str], what: str) -> str:
    there = ", ".join(table.columns)
    return f"{table.file} has no column {' or '.join(names)} with {what}; its columns are {there}."


def _pairs(table: _Table, images: Sequence[str], labels: Sequence[str]) -> tuple[Pair, ...]:
    folder, file = table.file.parent, table.file
    for number, text in zip(table.lines, images, strict=True):
        if not text:
            raise InputError(f"{file}, line {number}: the image is not named; fill it in.")
    names = _names(table, images)
    mpp = table.column(MPP_COLUMNS) or [""] * len(images)
    return tuple(
        Pair(
            name=names[i],
            image=folder / _slashes(images[i]),
            labels=folder / _slashes(labels[i]) if labels[i] else None,
            source=table.texts("source")[i],
            mpp=_mpp(file, table.lines[i], mpp[i]),
            split=table.texts("split")[i],
        )
        for i in range(len(images))
    )


def _names(table: _Table, images: Sequence[str]) -> list[str]:
    """Names as given, else those of the files, with folders where two would be alike."""
    short = [bare_name(Path(_slashes(text))) for text in images]
    clash = {name for name, n in Counter(short).items() if n > 1}
    long = [str(Path(_slashes(text)).with_suffix("").as_posix()) for text in images]
    defaults = [full if name in clash else name for name, full in zip(short, long, strict=True)]
    names = [name or default for name, default in zip(table.texts("name"), defaults, strict=True)]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        lines = [n for n, name in zip(table.lines, names, strict=True) if name == twice[0]]
        raise InputError(
            f"{table.file} names {twice[0]!r} in lines {', '.join(map(str, lines))}; give each "
            "image one line and a name of its own."
        )
    return names


def _slashes(text: str) -> str:
    return text.replace("\\", "/")


def _mpp(file: Path, number: int, text: str) -> float | None:
    if not text:
        return None
    found = ABOUT.match(text)
    value = float(found["number"]) if found else 0.0
    if not value > 0:
        raise InputError(
            f"{file}, line {number}: mpp is {text!r}; give micrometres per pixel, or nothing."
        )
    return value


def _chosen(table: _Table, pairs: tuple[Pair, ...], choice: DataChoice) -> tuple[Pair, ...]:
    """Keep what split, source and pattern name, or say what there is."""
    for what, wanted in (("split", choice.split), ("source", choice.source)):
        if wanted is None:
            continue
        if what not in table.columns:
            raise InputError(f"{table.file} has no column {what}, so {wanted!r} is not in it.")
        kept = tuple(pair for pair in pairs if getattr(pair, what) == wanted)
        if not kept:
            there = ", ".join(sorted({getattr(pair, what) or "(none)" for pair in pairs}))
            raise InputError(f"{table.file} has no image of {what} {wanted!r}, only of {there}.")
        pairs = kept
    kept = tuple(pair for pair in pairs if choice.takes(pair.image))
    if not kept:
        raise InputError(f"{table.file} names no image like {choice.pattern!r} among those meant.")
    return kept


def _check_there(file: Path, pairs: tuple[Pair, ...]) -> None:
    """Refuse an index none of whose images is there; single ones show when they are read."""
    missing = [str(pair.image) for pair in pairs if not pair.image.exists()]
    if len(missing) == len(pairs):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise InputError(
            f"None of the images in {file} is there: {', '.join(missing[:SHOWN])}{more}. Paths "
            "are relative to the folder of the index."
        )


def _with_labels_from(folder: Path, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    files = list_files(folder)
    return tuple(
        Pair(p.name, p.image, labels_of(p.image, files, apart=True), p.source, p.mpp, p.split)
        for p in pairs
    )


IMAGE_FOLDERS = ("images", "image")
LABEL_FOLDERS = ("labels", "label", "masks", "inst")
"""Folders in which labels lie under the names of their images; case does not matter."""
SHOWN_PAIRS = 5
"""Names that are shown in an error."""


def find_pairs(
    path: str | PathLike[str],
    split: str | None = None,
    labels: str | PathLike[str] | None = None,
    pattern: str | None = None,
) -> tuple[Pair, ...]:
    """List the images of a data set that have labels; see :func:`find_data`."""
    folder = None if labels is None else Path(labels)
    return find_data(path, DataChoice(split=split, labels=folder, pattern=pattern)).pairs


def find_data(path: str | PathLike[str], choice: DataChoice | None = None) -> DataSet:
    """List images and their labels."""
    path, choice = Path(path), choice or DataChoice()
    if not path.exists():
        raise InputError(f"{path} is not there; check the path.")
    index = path if path.suffix.lower() == ".csv" else path / INDEX_NAME
    if index.is_file():
        return _checked(read_index(index, choice), index, choice)
    _no_source(path, choice)
    if not path.is_dir():
        return _single(path, choice)
    folder = _split_folder(path, choice)
    if (folder / INDEX_NAME).is_file():
        return find_data(folder / INDEX_NAME, DataChoice(labels=choice.labels,
            pattern=choice.pattern, need_labels=choice.need_labels))  # fmt: skip
    return _checked(_folder_pairs(folder, choice), folder, choice)


def _no_source(path: Path, choice: DataChoice) -> None:
    if choice.source is not None:
        raise InputError(
            f"{path} has no {INDEX_NAME}, which alone tells the source of an image; leave "
            f"source {choice.source!r} out."
        )


def _split_folder(path: Path, choice: DataChoice) -> Path:
    """Return the folder of a split, or the folder itself."""
    if choice.split is None:
        return path
    folder = path / choice.split
    if choice.split in ("", ".", "..") or not folder.is_dir():
        raise InputError(
            f"{path} has neither an {INDEX_NAME} nor a folder {choice.split!r}, so it is not "
            "known what belongs to that split."
        )
    return folder


def _single(image: Path, choice: DataChoice) -> DataSet:
    """Take one image, with a label file named for it, or the one beside it."""
    if choice.labels is not None and choice.labels.is_file():
        found: Path | None = choice.labels
    else:
        folder = choice.labels or image.parent
        found = labels_of(image, list_files(folder), apart=choice.labels is not None)
    return _checked((Pair(bare_name(image), image, found),), image, choice)


def _folder_pairs(folder: Path, choice: DataChoice) -> tuple[Pair, ...]:
    files = list_files(folder)
    if choice.labels is not None:
        images = image_files(files) or image_files(_below(folder, IMAGE_FOLDERS))
        return _paired(images, list_files(choice.labels), choice, apart=True)
    apart, labels = _below(folder, IMAGE_FOLDERS), _below(folder, LABEL_FOLDERS)
    if apart and labels:
        return _paired(list(apart.values()), labels, choice, apart=True)
    return _paired(image_files(files), files, choice, apart=False)


def _below(folder: Path, names: tuple[str, ...]) -> Mapping[str, Path]:
    """List the files of the first folder that has one of the names; {} without such."""
    try:
        folders = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_dir()}
    except OSError as error:
        raise InputError(f"Cannot look into {folder}: {error.strerror or error}.") from error
    found = next((folders[name] for name in names if name in folders), None)
    return {} if found is None else list_files(found)


def _paired(
    images: list[Path], labels: Mapping[str, Path], choice: DataChoice, *, apart: bool
) -> tuple[Pair, ...]:
    wanted = [p for p in images if p.suffix.lower() in SUFFIXES and choice.takes(p)]
    twins = Counter(bare_name(p).lower() for p in wanted)
    return tuple(
        Pair(
            name=p.name if twins[bare_name(p).lower()] > 1 else bare_name(p),
            image=p,
            labels=labels_of(p, labels, apart=apart),
        )
        for p in wanted
    )


def _checked(found: tuple[Pair, ...], path: Path, choice: DataChoice) -> DataSet:
    """Divide what was found, and refuse what is of no use."""
    if not found:
        wanted = choice.pattern or ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise InputError(f"{path} holds no image ({wanted}){_folders_in(path)}.")
    pairs = tuple(pair for pair in found if pair.labels is not None)
    unpaired = tuple(pair for pair in found if pair.labels is None)
    if choice.need_labels and not pairs:
        raise InputError(_nothing_paired(path, unpaired, choice))
    return DataSet(pairs, unpaired, str(path))


def _folders_in(path: Path) -> str:
    """Name the folders that may have been meant."""
    if not path.is_dir():
        return ""
    names = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    return (
        f"; it has the folders {', '.join(names[:SHOWN_PAIRS])}: give one of them" if names else ""
    )


def _nothing_paired(path: Path, unpaired: tuple[Pair, ...], choice: DataChoice) -> str:
    names = ", ".join(pair.image.name for pair in unpaired[:SHOWN_PAIRS])
    more = " ..." if len(unpaired) > SHOWN_PAIRS else ""
    example = bare_name(unpaired[0].image)
    ends, kinds = ", ".join(LABEL_ENDINGS), ", ".join(LABEL_SUFFIXES)
    if choice.labels is not None:
        where = f"in {choice.labels} (the image's name, alone or with {ends})"
    else:
        where = (
            f"beside each image (its name with {ends}), in a folder labels/ beside images/, and "
            f"in an {INDEX_NAME}"
        )
    return (
        f"{path}: {len(unpaired)} image(s) without labels ({names}{more}). Looked {where}, as "
        f"{kinds}; for example {example}{LABEL_ENDINGS[0]}.png. Name the folder of the labels if "
        "they lie elsewhere."
    )


MEMORY_SHARE = 0.6
"""Share of the memory free at the start that images and labels may take."""
GROUP_COLUMNS = ("source_image", "slide", "case", "patient", "image_id")
"""Columns of an index that name what an image was cut from."""
OWN_COLUMN = "corrected"
"""An index with this column was written by this program: its ``source`` names the slide."""


def read_pairs(path: Path) -> Haul:
    """Read images and labels into memory."""
    splits = _split_folders(path)
    if splits:
        return joined(_folder(folder, split) for folder, split in splits)
    return _folder(path, "")


def _split_folders(path: Path) -> list[tuple[Path, str]]:
    """List the folders of a data set that is divided into folders, with what they are for."""
    if not path.is_dir() or (path / INDEX_NAME).is_file():
        return []
    names = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)
    found = [p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in names]
    return [(p, p.name) for p in found] if any(split_of(p.name) == "train" for p in found) else []


def _folder(path: Path, split: str) -> Haul:
    data = find_data(path, DataChoice(need_labels=split_of(split) is not None))
    groups = groups_of(path)
    pairs = [replace(pair, split=split or pair.split) for pair in data.pairs]
    tests = [pair for pair in pairs if split_of(pair.split) is None]
    notes = [*data.notes]
    if data.unpaired:
        notes.append(
            f"{len(data.unpaired)} images without labels are left out "
            f"({listed(p.name for p in data.unpaired)})"
        )
    if tests:
        notes.append(f"{len(tests)} images of the test split are kept out of training")
    return _read_all([p for p in pairs if p not in tests], groups).noting(*notes)


def groups_of(path: Path) -> Mapping[str, str]:
    """Source image by name, as far as an index tells."""
    index = path if path.suffix.lower() == ".csv" else path / INDEX_NAME
    if not index.is_file():
        return {}
    text = index.read_text(encoding="utf-8-sig")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    columns = {(name or "").strip().lower(): name for name in (rows[0] if rows else ())}
    column = next((columns[name] for name in GROUP_COLUMNS if name in columns), None)
    if column is None and OWN_COLUMN in columns:
        column = columns.get("source")
    if column is None or "name" not in columns:
        return {}
    return {row[columns["name"]]: row[column] or "" for row in rows}


def _read_all(pairs: list[Pair], groups: Mapping[str, str]) -> Haul:
    samples: list[Sample] = []
    problems: list[str] = []
    faults: list[str] = []
    room, taken = free_memory() * MEMORY_SHARE, 0
    for pair in pairs:
        try:
            sample = _sample(pair, groups.get(pair.name, ""))
        except InputError as error:
            problems.append(str(error))
            if isinstance(error, SizeError):
                faults.append(str(error))
            continue
        samples.append(sample)
        taken += sum(a.nbytes for a in (sample.image, sample.labels, sample.types) if a is not None)
        if taken > room:
            raise InputError(
                f"The images up to {pair.name} take {taken / 1e9:.1f} GB of memory; cut large "
                "ones into patches (.npy files are read from disk as needed), or train on fewer."
            )
    return Haul(tuple(samples), (), tuple(problems), tuple(faults))


def _sample(pair: Pair, group: str) -> Sample:
    if pair.labels is None:
        raise InputError(f"{pair.name} has no labels.")
    image = read_image(pair.image)
    height, width = image.source.shape
    instances = read_labels(pair.labels, (height, width))
    if instances.labels.shape != (height, width):
        rows, cols = instances.labels.shape
        raise SizeError(
            f"{pair.name}: the image is {height} x {width} pixels, its labels {rows} x {cols}; "
            "give labels of the very image, at its resolution."
        )
    return Sample(
        pair.name,
        group,
        split_of(pair.split) or "",
        mpp=pair.mpp or image.mpp,
        image=np.ascontiguousarray(image.source.read(0, height, 0, width)),
        labels=compact_ids(instances.labels)[0],
        types=type_map(instances),
    )


def type_map(instances: Instances) -> Int32 | None:
    """Type of each pixel, None where no nucleus has one."""
    if not instances.type.any():
        return None
    place = np.searchsorted(instances.ids, instances.labels.ravel())
    types = np.append(instances.type, 0)[np.minimum(place, len(instances.ids))]
    return np.where(instances.labels.ravel() > 0, types, 0).reshape(instances.labels.shape)
