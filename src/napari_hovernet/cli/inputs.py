"""Which images to segment, and what to call their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ..core.io import FORMATS
from ..errors import InputError

OME = ".ome"
"""Belongs to the ending of the OME-TIFF files ``x.ome.tif``."""


@dataclass(frozen=True)
class ImageInput:
    """One image: where it is, and where its results go, relative to the output folder."""

    path: Path
    stem: Path


@dataclass(frozen=True)
class Search:
    """How folders are searched."""

    suffixes: tuple[str, ...]  # Endings of readable images, in lower case
    pattern: str | None = None  # Only names like this
    recursive: bool = False  # Folders of folders too
    leave_out: Path = Path()  # A folder that is not looked into: that of the results


def find_inputs(paths: Sequence[Path], search: Search) -> list[ImageInput]:
    """List the images that are meant, each once, with names for their results.

    A file is taken whatever its ending; from folders those with a known ending. Results of images
    of one name in different folders lie in folders of their own.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for image in _images_in(path, search) if path.is_dir() else [path]:
            found.setdefault(os.path.realpath(image), image)
    return name_results(list(found.values()))


def _images_in(folder: Path, search: Search) -> list[Path]:
    try:
        files = sorted(folder.rglob("*") if search.recursive else folder.iterdir())
    except OSError as error:
        raise InputError(f"Cannot look into {folder}: {error.strerror or error}.") from error
    images = [file for file in files if _fits(file, folder, search)]
    if not images:
        wanted = search.pattern or ", ".join(f"*{suffix}" for suffix in search.suffixes)
        more = "" if search.recursive else "; --recursive looks into the folders in it"
        raise InputError(f"The folder {folder} holds no image ({wanted}){more}.")
    return images


def _fits(file: Path, folder: Path, search: Search) -> bool:
    if file.name.startswith(".") or file.suffix.lower() not in search.suffixes:
        return False
    if search.pattern is not None and not fnmatch(file.name, search.pattern):
        return False
    out = Path(os.path.realpath(search.leave_out))
    inside_results = out != Path(os.path.realpath(folder)) and out in _real_parents(file)
    own_labels = file.name.endswith(FORMATS["tiff"].ending) and out in _real_parents(file)
    return file.is_file() and not inside_results and not own_labels


def _real_parents(file: Path) -> Sequence[Path]:
    return Path(os.path.realpath(file)).parents


def name_results(images: Sequence[Path]) -> list[ImageInput]:
    """Give each image a name for its results that no other has, as short as can be.

    The name without its ending; with its ending where two differ in that alone; with as many
    folders in front as tell it from others.
    """
    full = [Path(os.path.abspath(image)) for image in images]
    bare = [path.with_name(_stem(path.name)) for path in full]
    twins = Counter(map(_key, bare))
    last = [p.name if twins[_key(b)] > 1 else b.name for p, b in zip(full, bare, strict=True)]
    stems = [Path(name) for name in last]
    for depth in range(1, max((len(path.parts) for path in full), default=0)):
        clashing = Counter(_key(stem) for stem in stems)
        if max(clashing.values()) == 1:
            break
        for i, path in enumerate(full):
            parents = path.parent.parts[1:]
            if clashing[_key(stems[i])] > 1 and depth <= len(parents):
                stems[i] = Path(*parents[-depth:], last[i])
    return [ImageInput(image, stem) for image, stem in zip(images, stems, strict=True)]


def _stem(name: str) -> str:
    """Name of a file without its ending; ``.ome.tif`` is one."""
    stem = Path(name).stem
    return stem[: -len(OME)] if stem.lower().endswith(OME) and stem.lower() != OME else stem


def _key(path: Path) -> str:
    """Two names that some file systems take for one have one key."""
    return str(path).casefold()
