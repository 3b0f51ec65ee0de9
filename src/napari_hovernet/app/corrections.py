"""Labels corrected by hand: what was changed, and images with labels to train on."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from PIL import Image

from .._version import __version__
from ..core.data.pairs import DELIMITERS, INDEX_NAME
from ..core.inference.images import UInt8, as_source
from ..core.io.files import staged, writable_folder
from ..core.io.labels import write_label_tiff
from ..core.measure.changes import LabelChanges, TidyParams, label_changes, tidy_labels
from ..core.types import Int32, Progress
from ..errors import InputError
from .jobs import drive

if TYPE_CHECKING:
    from .session import Run


@dataclass(frozen=True)
class Corrections:
    """Changes by hand, and what they were made on."""

    changes: LabelChanges = field(default_factory=LabelChanges)  # Pixels, and nuclei by id
    when: str = ""  # UTC, ISO 8601, seconds
    version: str = __version__  # Of this program
    model_sha256: str = ""  # Of the checkpoint whose instances were corrected, "" if not known
    run: Mapping[str, Any] = field(default_factory=dict)  # The run's parameters, JSON-able

    @property
    def summary(self) -> str:
        """The changes in one line."""
        if not self.changes.any:
            return "Nothing changed."
        found = {n: len(getattr(self.changes, n)) for n in ("added", "removed", "reshaped")}
        (first, n), *rest = ((what, n) for what, n in found.items() if n)
        words = [f"{n:,} {'nucleus' if n == 1 else 'nuclei'} {first}"]
        words += [f"{n:,} {what}" for what, n in rest]
        pixels = self.changes.pixels
        return f"{', '.join(words)} ({pixels:,} pixel{'' if pixels == 1 else 's'})"

    def as_dict(self) -> dict[str, Any]:
        """Return the record without the run, JSON-able."""
        changes = {n: list(getattr(self.changes, n)) for n in ("added", "removed", "reshaped")}
        about = {"program": "napari-hovernet", "version": self.version, "time_utc": self.when,
                 "summary": self.summary, "changed_pixels": self.changes.pixels}  # fmt: skip
        return {**about, **changes, "model_sha256": self.model_sha256}

    def provenance(self) -> dict[str, Any]:
        """How corrected labels came about: the run's parameters and the record, JSON-able."""
        return {**self.run, "corrections": self.as_dict()}


def find_corrections(run: Run, labels: Int32, now: datetime | None = None) -> Corrections:
    """Compare labels (H, W) as they are now with what the run's separation made."""
    moment = datetime.now(UTC) if now is None else now.astimezone(UTC)
    return Corrections(
        changes=label_changes(run.result.labels, labels),
        when=moment.isoformat(timespec="seconds"),
        model_sha256=run.result.info.sha256,
        run=dict(run.metadata),
    )


def label_steps(
    path: str | os.PathLike[str],
    labels: Int32,
    corrections: Corrections,
    mpp: float | None = None,
) -> Generator[Progress, None, str]:
    """Write corrected labels (H, W) as TIFF with their provenance; runs in a worker thread."""
    target = Path(path)
    target = target if target.suffix else target.with_name(f"{target.name}.tif")
    yield Progress(0, 0, f"Saving {target.name} ...")
    write_label_tiff(target, labels, mpp=mpp, metadata=corrections.provenance())
    return str(target)


COLUMNS = (
    "name", "source", "split", "path", "label", "approx_mpp", "licence", "n_nuclei", "corrected",
)  # fmt: skip
"""Columns of an index that is begun here."""

Rows = list[dict[str, str]]


def read_rows(path: Path) -> tuple[tuple[str, ...], Rows, str]:
    """Read an index as its columns, its lines and what divides them; a new one is empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return COLUMNS, [], ","
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): repair it, or take a new folder.") \
            from error  # fmt: skip
    if not text.strip():
        return COLUMNS, [], ","
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path} is no CSV table ({error}): repair it first.") from error
    columns = tuple(reader.fieldnames or ())
    missing = [name for name in ("name", "path", "label") if name not in columns]
    uneven = next((i for i, row in enumerate(rows, 2) if None in row or None in row.values()), 0)
    if missing or uneven:
        why = f"lacks the column {missing[0]!r}" if missing else f"is uneven in line {uneven}"
        raise InputError(
            f"{path} {why}, so nothing can be added to it: repair it, or take a new folder."
        )
    return columns, rows, delimiter


def index_text(
    columns: Sequence[str], rows: Rows, row: Mapping[str, str], delimiter: str = ","
) -> str:
    r"""Return the index with one line replaced (by its name) or added, as text of a CSV file."""
    names = (*columns, *(name for name in row if name not in columns))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for old in rows:
        writer.writerow({**old, **row} if old["name"] == row["name"] else old)
    if row["name"] not in {old["name"] for old in rows}:
        writer.writerow(row)
    return text.getvalue()


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
    """What the index and the label file say of a pair."""

    source: str = ""  # Where the image comes from
    split: str = "train"  # "train", "val" or "test".
    mpp: float | None = None  # Micrometres per pixel, None = not known
    licence: str = ""  # Of the image
    corrected: bool = False  # Whether a person has corrected the labels
    metadata: Mapping[str, Any] = field(default_factory=dict)  # How the labels were made, JSON-able

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
    """Turn any text into a name for files."""
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
    """Save an image and its labels (H, W) below a folder and list them in its ``index.csv``."""
    return drive(pair_steps(folder, name, image, labels, about, options))


def pair_steps(
    folder: str | os.PathLike[str],
    name: str,
    image: Any,
    labels: npt.ArrayLike,
    about: PairAbout | None = None,
    options: PairOptions | None = None,
) -> Generator[Progress, None, SavedPair]:
    """Save a pair step by step; see :func:`save_training_pair`."""
    about, options = about or PairAbout(), options or PairOptions()
    if clean_name(name) != name:
        raise InputError(
            f"{name!r} is no name for files: use letters, digits, '.', '-' and '_', as in "
            f"{clean_name(name)!r}."
        )
    yield Progress(0, 3, "Reading the image ...")
    pixels = _pixels(image, labels)
    yield Progress(1, 3, "Looking at the labels ...")
    tidy = tidy_labels(labels, options.tidy)
    yield Progress(2, 3, "Saving ...")
    base = writable_folder(folder)
    picture, drawn = f"{IMAGES}/{name}.png", f"{LABELS}/{name}.tif"
    mpp = "" if about.mpp is None else f"{about.mpp:g}"
    corrected = "yes" if about.corrected else "no"
    row = dict(zip(COLUMNS, (name, about.source, about.split, picture, drawn, mpp, about.licence,
                             str(tidy.n), corrected), strict=True))  # fmt: skip
    index = _index(base, row, options.overwrite)
    with staged(base, [picture, drawn, INDEX_NAME]) as staging:
        extra = {"dpi": (MICROMETRES_PER_INCH / about.mpp,) * 2} if about.mpp else {}
        Image.fromarray(pixels).save(staging / picture, format="PNG", **extra)
        metadata = {**about.metadata, "notes": list(tidy.notes)}
        write_label_tiff(staging / drawn, tidy.labels, mpp=about.mpp, metadata=metadata)
        (staging / INDEX_NAME).write_text(index, encoding="utf-8", newline="")
    return SavedPair(name, base / picture, base / drawn, base / INDEX_NAME, tidy.n, tidy.notes)


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


def _index(base: Path, row: Mapping[str, str], overwrite: bool) -> str:
    """Return the text of the index with the pair in it; refuse a name that is taken."""
    columns, rows, delimiter = read_rows(base / INDEX_NAME)
    taken = any(old.get("name") == row["name"] for old in rows)
    files = [base / row[what] for what in ("path", "label") if (base / row[what]).exists()]
    if (taken or files) and not overwrite:
        where = "the index" if taken else str(files[0])
        raise InputError(
            f"{row['name']!r} is there already ({where}): choose another name, or let it be "
            "replaced."
        )
    return index_text(columns, rows, row, delimiter)
