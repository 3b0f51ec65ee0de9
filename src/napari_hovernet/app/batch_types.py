"""What a batch evaluation asks for and what it answers: rows per image, means per source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.blobs import BlobParams
from ..core.magnitude import MagnitudeBands
from ..core.metrics.bootstrap import BootstrapParams, Interval
from ..core.pictures import PictureParams
from ..errors import InputError

ALL = "all"
"""Name of the group of all images."""
NO_SOURCE = "(no source)"
"""Name of the group of images whose source is not known."""


@dataclass(frozen=True)
class Score:
    """A column of which means are taken.

    Parameters
    ----------
    key : str
        Name in files.
    title : str
        Name in a report.
    better : str
        "high", "low" or "" (neither).
    base, best : str
        Keys of the score beside it: what one gets for nothing, and the best there can be;
        "" = there is none.
    meaning : str
        One line that says how to read it.
    """

    key: str
    title: str
    better: str = "high"
    base: str = ""
    best: str = ""
    meaning: str = ""


SCORES = tuple(
    Score(*given)
    for given in (
        ("aji", "AJI", "high", "cc_aji", "oracle_aji",
         "Shared area of paired nuclei over everything found or missed. Beside it: connected "
         "components only (no separation at all), and the true maps through the same separation."),
        ("aji_plus", "AJI+", "high", "", "", "AJI with partners one to one."),
        ("pq", "PQ", "high", "cc_pq", "oracle_pq",
         "DQ times SQ, with the same two rates beside it as AJI."),
        ("dq", "DQ", "high", "", "", "Are the nuclei found? F1 of pairs with IoU above 0.5."),
        ("sq", "SQ", "high", "", "", "How well the found ones fit: mean IoU of those pairs."),
        ("dice", "Dice", "high", "all_foreground_dice", "",
         "Nucleus against background pixels; blind to whether touching nuclei are apart. Beside "
         "it: what calling every pixel nucleus gets."),
        ("cc_aji", "AJI of connected components", "", "", "",
         "The mask with every connected area as one nucleus: the score without separation."),
        ("cc_pq", "PQ of connected components", "", "", "", "The same for PQ."),
        ("oracle_aji", "AJI of the true maps (oracle)", "", "", "",
         "The most this separation could reach; if it is low, no network can help."),
        ("oracle_pq", "PQ of the true maps (oracle)", "", "", "", "The same for PQ."),
        ("all_foreground_dice", "Dice of all-foreground", "", "", "",
         "Dice of calling every pixel nucleus: high where nuclei fill the image."),
        ("hv_mse", "HV error (MSE)", "low", "hv_zero_mse", "",
         "Mean squared error of HV inside true nuclei. Beside it: that of a map of zeros, so an "
         "error near it means that nothing was learnt."),
        ("hv_zero_mse", "HV error of the zero map", "", "", "",
         "What a network gets that predicts HV 0 everywhere."),
        ("hv_cosine", "HV direction (cosine)", "high", "", "",
         "1 = HV points the right way, 0 = no direction learnt, -1 = wrong sign. Magnitude "
         "cannot tell them apart."),
        ("magnitude_inside", "HV magnitude inside nuclei", "", "", "true_magnitude",
         "Mean length of HV inside true nuclei; length alone is no health, see the direction."),
        ("true_magnitude", "HV magnitude of the truth", "", "", "",
         "Mean length of the exact HV inside true nuclei, usually 0.67 to 0.69."),
    )
)  # fmt: skip
"""Every score, the important ones first."""
OUTCOMES = ("matched", "merged", "split", "missed", "spurious")
COUNTS = ("n_true", "n_pred", *(f"n_{name}" for name in OUTCOMES), "suspected_blobs")
"""Columns of whole numbers; groups hold their sums."""


@dataclass(frozen=True)
class BatchParams:
    """How predictions are judged and shown.

    Parameters
    ----------
    bands : MagnitudeBands
    blobs : BlobParams
    bootstrap : BootstrapParams
        Of the means' intervals.
    picture : PictureParams
    n_pictures : int
        Images of which pictures are kept: those of lowest AJI; 0 = none.

    Raises
    ------
    InputError
        If ``n_pictures`` is negative.

    Examples
    --------
    >>> BatchParams(n_pictures=0).bands.healthy
    0.5
    """

    bands: MagnitudeBands = field(default_factory=MagnitudeBands)
    blobs: BlobParams = field(default_factory=BlobParams)
    bootstrap: BootstrapParams = field(default_factory=BootstrapParams)
    picture: PictureParams = field(default_factory=PictureParams)
    n_pictures: int = 24

    def __post_init__(self) -> None:
        if self.n_pictures < 0:
            raise InputError(f"n_pictures is {self.n_pictures}; give 0 or more.")


@dataclass(frozen=True, eq=False)
class ImageRow:
    """One image of a batch.

    Parameters
    ----------
    name, source, split : str
        As the data set says.
    image, labels : str
        Paths.
    values : mapping of str to float
        Scores and counts by key, and "seconds"; NaN where one is not defined. Empty if the
        image failed.
    verdict : str
        Of the magnitude inside true nuclei: "healthy", "weak", "collapsed", "no nuclei" or
        "" without maps.
    mpp : float or None
        Micrometres per pixel that the image was taken to have.
    scale : float
        By which it was resized for the network, 1 = not at all.
    notes : tuple of str
        What was assumed or looks odd.
    error : str
        Why the image failed, "" if it did not.
    """

    name: str
    source: str
    split: str
    image: str
    labels: str
    values: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    mpp: float | None = None
    scale: float = 1.0
    notes: tuple[str, ...] = ()
    error: str = ""

    def __getitem__(self, key: str) -> float:
        """Return a score or count; NaN where there is none."""
        return self.values.get(key, float("nan"))


@dataclass(frozen=True, eq=False)
class Group:
    """Means of the images of one source, or of all.

    Parameters
    ----------
    name : str
    n, n_failed : int
        Images with scores, and those that failed.
    means : mapping of str to Interval
        By score.
    counts : mapping of str to int
        Sums over the images.
    """

    name: str
    n: int
    n_failed: int
    means: Mapping[str, Interval]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Pictures:
    """Pictures of one image, PNG: outlines by outcome, and HV magnitude (None without maps).

    ``place`` says which part of the image they show.
    """

    outcomes: bytes
    magnitude: bytes | None
    place: str


@dataclass(frozen=True, eq=False)
class BatchResult:
    """All of a batch evaluation.

    Parameters
    ----------
    rows : tuple of ImageRow
        In the order of the data set.
    groups : tuple of Group
        One per source if there are several, then that of all images.
    predictor : mapping
        Where the predictions come from, JSON-able.
    params : BatchParams
    pictures : mapping of str to Pictures
        By name of the image, for the worst ones.
    seconds : float
        Wall-clock time of all.
    """

    rows: tuple[ImageRow, ...]
    groups: tuple[Group, ...]
    predictor: Mapping[str, Any]
    params: BatchParams
    pictures: Mapping[str, Pictures]
    seconds: float

    @property
    def failed(self) -> tuple[ImageRow, ...]:
        """Rows of the images that failed."""
        return tuple(row for row in self.rows if row.error)

    @property
    def overall(self) -> Group:
        """Means of all images."""
        return self.groups[-1]
