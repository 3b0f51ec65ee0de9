"""Images and their labels, out of a folder or an index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from ...errors import InputError
from .dataset import DataChoice, DataSet, Pair
from .images import SUFFIXES
from .index_csv import INDEX_NAME, read_index
from .label_names import LABEL_ENDINGS, bare_name, image_files, labels_of, list_files
from .labels_file import LABEL_SUFFIXES

IMAGE_FOLDERS = ("images", "image")
LABEL_FOLDERS = ("labels", "label", "masks", "inst")
"""Folders in which labels lie under the names of their images; case does not matter."""
SHOWN = 5
"""Names that are shown in an error."""


def find_pairs(
    path: str | PathLike[str],
    split: str | None = None,
    labels: str | PathLike[str] | None = None,
    pattern: str | None = None,
) -> tuple[Pair, ...]:
    """List the images of a data set that have labels; see :func:`find_data`.

    Raises
    ------
    InputError
        If there is none; says what was looked for.

    Examples
    --------
    >>> [pair.name for pair in find_pairs("data", split="val")]  # doctest: +SKIP
    ['a', 'b']
    """
    folder = None if labels is None else Path(labels)
    return find_data(path, DataChoice(split=split, labels=folder, pattern=pattern)).pairs


def find_data(path: str | PathLike[str], choice: DataChoice | None = None) -> DataSet:
    """List images and their labels.

    Parameters
    ----------
    path : path
        An index (a CSV file, see :func:`.index_csv.read_index`), a folder that holds
        ``index.csv``, a folder with ``images/`` and ``labels/`` in it (``Images`` and
        ``Labels`` of CoNSeP), a folder of images with their labels beside them
        (``x.png`` and ``x_lab.png``, ``x_labels.tif``, ``x_mask.png``, ``x.mat`` ...), or
        one image with its labels beside it.
    choice : DataChoice, optional
        Which of them are meant, and where the labels lie if elsewhere.

    Returns
    -------
    DataSet
        Nothing is read yet but an index.

    Raises
    ------
    InputError
        If there is no image that is meant, or none with labels though they are needed;
        says what was looked for.

    Examples
    --------
    >>> find_data("no such folder")
    Traceback (most recent call last):
        ...
    napari_hovernet.errors.InputError: no such folder is not there; check the path.
    """
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
    return f"; it has the folders {', '.join(names[:SHOWN])}: give one of them" if names else ""


def _nothing_paired(path: Path, unpaired: tuple[Pair, ...], choice: DataChoice) -> str:
    names = ", ".join(pair.image.name for pair in unpaired[:SHOWN])
    more = " ..." if len(unpaired) > SHOWN else ""
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
