"""An index of a data set: a CSV file with one line per image."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from .dataset import DataChoice, Pair
from .label_names import bare_name, labels_of, list_files

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
    """Read the lines that are meant.

    Parameters
    ----------
    file : Path
        CSV with a first line of names: ``path`` (or ``image``) and ``label``, and if you
        like ``name``, ``source``, ``split`` and ``mpp`` (or ``approx_mpp``). Paths are
        relative to the file's folder. Commas, semicolons or tabs divide.
    choice : DataChoice

    Returns
    -------
    tuple of Pair
        In the order of the file; ``labels`` is None where the cell is empty.

    Raises
    ------
    InputError
        If it is no such table, names one image twice, nothing in it is meant, or none of
        its images is there.

    Examples
    --------
    >>> read_index(Path("index.csv"), DataChoice(split="val"))  # doctest: +SKIP
    """
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
