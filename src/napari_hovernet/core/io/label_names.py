"""Which file holds the labels of an image, by name alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import InputError
from .images import SUFFIXES
from .labels_file import LABEL_SUFFIXES

LABEL_ENDINGS = ("_lab", "_labels", "_label", "_inst", "_instances", "_mask", "_masks")
"""What follows the image's name in that of its labels, first choice first."""
ALSO_IMAGES = frozenset(SUFFIXES) & frozenset(LABEL_SUFFIXES)
"""Endings of files that may be an image or labels."""
OME = ".ome"


def bare_name(path: Path) -> str:
    """Return a file's name without its ending; ``.ome.tif`` is one.

    Examples
    --------
    >>> bare_name(Path("x/slide.2.ome.tif")), bare_name(Path("a_lab.png"))
    ('slide.2', 'a_lab')
    """
    stem = path.stem
    return stem[: -len(OME)] if stem.lower().endswith(OME) and stem.lower() != OME else stem


def list_files(folder: Path) -> dict[str, Path]:
    """List the files of a folder by their names in lower case; hidden ones are left out.

    Raises
    ------
    InputError
        If it is no folder, or cannot be read.
    """
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
    """Find the labels of an image among the files of a folder.

    Parameters
    ----------
    image : Path
    files : mapping
        As :func:`list_files` gives them.
    apart : bool
        Whether the folder holds labels alone: then they may have the image's own name.
        Beside the images that holds only for endings that no image has.

    Returns
    -------
    Path or None

    Examples
    --------
    >>> files = {"a_lab.png": Path("A_lab.png"), "a.png": Path("a.png")}
    >>> labels_of(Path("a.png"), files, apart=False)
    PosixPath('A_lab.png')
    """
    stem = bare_name(image).lower()
    own = [s for s in LABEL_SUFFIXES if apart or s not in ALSO_IMAGES]
    marked = [f"{stem}{end}{suffix}" for end in LABEL_ENDINGS for suffix in LABEL_SUFFIXES]
    plain = [f"{stem}{suffix}" for suffix in own]
    for name in (*plain, *marked) if apart else (*marked, *plain):
        if name in files and files[name].resolve() != image.resolve():
            return files[name]
    return None
