"""What a data set is: images, the labels that belong to them, and which of them are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ...errors import InputError


@dataclass(frozen=True)
class Pair:
    """An image and its labels; nothing of them has been read yet.

    Parameters
    ----------
    name : str
        What it is called in tables; no other pair of a data set has it.
    image : Path
    labels : Path or None
        None where no labels belong to the image.
    source : str
        Where it comes from, for means per source; "" = not known.
    mpp : float or None
        Micrometres per pixel by the index, None = not stated.
    split : str
        "train", "val" ..., "" = not known.

    Examples
    --------
    >>> Pair("a", Path("a.png"), Path("a_lab.png")).source
    ''
    """

    name: str
    image: Path
    labels: Path | None
    source: str = ""
    mpp: float | None = None
    split: str = ""


def spread(pairs: Sequence[Pair], n: int | None) -> tuple[Pair, ...]:
    """Return ``n`` of the pairs, evenly spread over their order; all if there are no more.

    Raises
    ------
    InputError
        If ``n`` is below 1.

    Examples
    --------
    >>> pairs = [Pair(str(i), Path(), None) for i in range(10)]
    >>> [pair.name for pair in spread(pairs, 3)]
    ['0', '3', '6']
    """
    if n is None:
        return tuple(pairs)
    if n < 1:
        raise InputError(f"The number of samples is {n}; give 1 or more.")
    n = min(n, len(pairs))
    return tuple(pairs[i * len(pairs) // n] for i in range(n))


@dataclass(frozen=True)
class DataChoice:
    """Which pairs of a data set are meant.

    Parameters
    ----------
    split, source : str, optional
        Only these, as the index names them. Of a folder ``split`` may also be a folder in it.
    labels : Path, optional
        Folder in which the labels lie (or the label file of a single image); default beside
        the images or as the index says.
    pattern : str, optional
        Only images whose file names are like this, as "*_he.png".
    need_labels : bool
        Whether images without labels are of no use; then there must be one pair at least.

    Examples
    --------
    >>> DataChoice(pattern="*.tif").takes(Path("x/a.png"))
    False
    """

    split: str | None = None
    source: str | None = None
    labels: Path | None = None
    pattern: str | None = None
    need_labels: bool = True

    def takes(self, image: Path) -> bool:
        """Whether the file's name fits the pattern."""
        return self.pattern is None or fnmatch(image.name, self.pattern)


@dataclass(frozen=True)
class DataSet:
    """What was found.

    Parameters
    ----------
    pairs : tuple of Pair
        Images with labels, by name (of an index: in its order).
    unpaired : tuple of Pair
        Images without labels.
    origin : str
        Where the pairs come from, for messages: a path.
    notes : tuple of str
        What was assumed.
    """

    pairs: tuple[Pair, ...]
    unpaired: tuple[Pair, ...]
    origin: str
    notes: tuple[str, ...] = ()
