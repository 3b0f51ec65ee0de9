"""Frozen holders for what the pipeline makes; they validate and never change."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .compiled import kernel as kernel  # noqa: PLC0414 - it is taken from here

if TYPE_CHECKING:
    import torch

    from .networks.registry import Network

T = TypeVar("T")
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

PROBABILITY_SLACK = 1e-3
"""Rounding a probability may show beyond 0..1 before it is refused (float16 files)."""


HV_LIMIT = 1e6
"""HV beyond is absurd, and its squares and sums would overflow."""


@dataclass(frozen=True)
class Progress:
    """One step of a long job.

    Parameters
    ----------
    done, total : int
        Units finished and units in all; ``total`` 0 means not known.
    message : str
        What is being done, fit for a progress bar.
    notice : str
        Something the user should know and keep ("out of memory: tile halved"), or "".
    """

    done: int
    total: int
    message: str = ""
    notice: str = ""


def driven(
    steps: Generator[Progress, None, T], progress: Callable[[Progress], object] | None = None
) -> T:
    """Run long work to its end, telling of each step; returns its result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if progress is not None:
            progress(step)


@dataclass(frozen=True, eq=False)
class Maps:
    """What a HoVer-Net predicts for one image.

    Parameters
    ----------
    np : array (H, W)
        Probability of nucleus, 0..1.
    hv : array (2, H, W)
        Offset from the nucleus centre, channel 0 = x to the right, channel 1 = y
        down, each nominally in [-1, 1] (a network may overshoot).
    types : array (C, H, W), optional
        Type probabilities, background as channel 0.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite, or ``np`` leaves 0..1.

    Examples
    --------
    >>> import numpy, napari_hovernet as nh
    >>> maps = nh.Maps(np=numpy.zeros((4, 5)), hv=numpy.zeros((2, 4, 5)))
    >>> maps.magnitude.shape
    (4, 5)
    """

    np: Float32
    hv: Float32
    types: Float32 | None = None

    def __post_init__(self) -> None:
        prob, least, most = _float32("np", self.np)
        hv, low, high = _float32("hv", self.hv)
        if prob.ndim != 2:
            raise InputError(f"Maps.np has shape {prob.shape}; give one (H, W) array.")
        if hv.shape != (2, *prob.shape):
            raise InputError(
                f"Maps.hv has shape {hv.shape}; with np {prob.shape} it must be "
                f"(2, {prob.shape[0]}, {prob.shape[1]}): channel 0 = x, channel 1 = y."
            )
        if least < -PROBABILITY_SLACK or most > 1 + PROBABILITY_SLACK:
            raise InputError(
                f"Maps.np runs from {least:g} to {most:g}; it must be a probability "
                "in 0..1 (softmax channel 1 of the NP branch, not its logits)."
            )
        if not -HV_LIMIT <= low <= high <= HV_LIMIT:
            raise InputError(
                f"Maps.hv runs from {low:g} to {high:g}, where -1 to 1 is meant; look at "
                "the network that made them, whose weights are damaged or diverged."
            )
        object.__setattr__(self, "np", prob)
        object.__setattr__(self, "hv", hv)
        if self.types is not None:
            types = _float32("types", self.types)[0]
            if types.ndim != 3 or types.shape[1:] != prob.shape:
                raise InputError(
                    f"Maps.types has shape {types.shape}; it must be (C, *{prob.shape})."
                )
            object.__setattr__(self, "types", types)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (int(self.np.shape[0]), int(self.np.shape[1]))

    @cached_property
    def magnitude(self) -> Float32:
        """HV magnitude ``sqrt(h**2 + v**2)``, (H, W) float32, about 0 in a centre, 1 on a rim."""
        return np.asarray(np.hypot(self.hv[0], self.hv[1]))


def _float32(name: str, value: Any) -> tuple[Float32, float, float]:
    """Return finite numbers as float32, and the lowest and highest (0 of none)."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"Maps.{name} has dtype {array.dtype}; give numbers.")
    array = np.ascontiguousarray(array, dtype=np.float32)
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (isfinite(low) and isfinite(high)):  # NaN is lowest and highest of all
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise InputError(
            f"Maps.{name} holds {bad} values that are not finite (NaN or infinite); "
            "replace them, or look at the network that made them."
        )
    return array, low, high


@dataclass(frozen=True, eq=False)
class Separation:
    """Instances and every stage that led to them; what is shown is what ran.

    Parameters
    ----------
    mask : bool (H, W)
        Pixels taken for nucleus.
    energy : float32 (H, W)
        The landscape the watershed floods: low where a nucleus is, high where two meet.
    markers : int32 (H, W)
        Seeds, 0 = none, 1..n.
    labels : int32 (H, W)
        Instances, 0 = background, 1..n without gaps.
    """

    mask: Bool
    energy: Float32
    markers: Int32
    labels: Int32

    @property
    def n(self) -> int:
        """Number of instances."""
        return int(self.labels.max()) if self.labels.size else 0


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of every nucleus, for true and for predicted instances."""

    ERRORS: ClassVar = ("merged", "split", "missed", "spurious")  # In the order of a look

    true_ids: Int64  # Label ids as in the arrays given
    true: npt.NDArray[np.str_]  # "matched", "merged", "split" or "missed"
    pred_ids: Int64  # Label ids as in the arrays given
    pred: npt.NDArray[np.str_]  # "matched", "merged", "split" or "spurious"
    partner: Int64  # Predicted id of highest IoU for each true instance, 0 = none
    iou: Float64  # Intersection over union with ``partner``

    def counts(self) -> dict[str, int]:
        """Count each outcome: matched, merged, split, missed (true), spurious (predicted)."""
        found = {k: int((self.true == k).sum()) for k in ("matched", "merged", "split", "missed")}
        return {**found, "spurious": int((self.pred == "spurious").sum())}


@dataclass(frozen=True)
class TypeRow:
    """Scores of one nucleus type, in 0..1 but for the counts and R²; NaN = not defined.

    Parameters
    ----------
    name, color : str, tuple of int
        As in :class:`TypeInfo`.
    n_true, n_pred : int
        Nuclei that have and that were given this type.
    f1, precision, recall : float
        By centroids; ``f1`` is hover_net's F1 of a type, which weighs a wrong type twice.
    dq, sq, pq : float
        By outlines, over all images together.
    r2 : float
        Coefficient of determination of the counts per image; below 0 = worse than their mean.
    """

    name: str
    color: tuple[int, int, int]
    n_true: int
    n_pred: int
    f1: float
    precision: float
    recall: float
    dq: float
    sq: float
    pq: float
    r2: float


@dataclass(frozen=True, eq=False, kw_only=True)
class TypeScores:
    """Are nuclei found, and do they have the right type, over one image or many together.

    NaN stands for "not defined". Nuclei whose true type is not known are left out of all that
    is said of types.

    Parameters
    ----------
    n_images : int
    precision, recall, f1 : float
        Of finding nuclei, by centroids at most ``radius_um`` apart.
    type_accuracy : float
        Share of the found nuclei that have the right type.
    type_f1 : float
        Mean over the types of hover_net's F1.
    bpq : float
        Panoptic quality whatever the type, over all images together.
    mpq : float
        Mean over images of the mean over the types that are there (PanNuke).
    mpq_plus : float
        Mean over types of PQ over all images together (CoNIC).
    r2 : float
        Mean over types.
    area_bias : float
        Mean relative difference of the areas of pairs of outlines; 0.1 = 10 % too large.
    boundary_offset : float
        Mean distance, px, by which predicted outlines lie outside the true ones.
    types : mapping of int to TypeRow
        Scores of each type, background left out.
    confusion : int array (T + 2, T + 2)
        Nuclei by true type (rows) and predicted type (columns): 0 = no type, 1 to T, and last
        "not there": missed in the last column, spurious in the last row.
    means : mapping of str to float
        Means over images of the scores that one image has too, by name.
    radius_um : float
        Micrometres.
    """

    n_images: int
    precision: float
    recall: float
    f1: float
    type_accuracy: float
    type_f1: float
    bpq: float
    mpq: float
    mpq_plus: float
    r2: float
    area_bias: float
    boundary_offset: float
    types: Mapping[int, TypeRow]
    confusion: Int64
    means: Mapping[str, float]
    radius_um: float

    @property
    def names(self) -> tuple[str, ...]:
        """What the rows and columns of ``confusion`` stand for."""
        known = (self.types.get(k) for k in range(1, len(self.confusion) - 1))
        numbered = enumerate(known, start=1)
        return ("no type", *(r.name if r else f"type {k}" for k, r in numbered), "not there")

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values; NaN stays NaN."""
        plain = {name: value for name, value in vars(self).items() if name != "means"}
        rows = {str(k): {**vars(row), "color": list(row.color)} for k, row in self.types.items()}
        confusion = self.confusion.tolist()
        return {**plain, "types": rows, "confusion": confusion, "means": dict(self.means)}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of predicted against true instances; all in 0..1, higher is better.

    ``typed`` says how nuclei are found and which type they have; None unless types were given.
    """

    dice: float
    aji: float
    aji_plus: float
    dq: float
    sq: float
    pq: float
    n_true: int
    n_pred: int
    outcomes: Outcomes
    typed: TypeScores | None = None

    def as_dict(self) -> dict[str, float | int]:
        """Scores and counts as plain numbers, for a table or JSON."""
        names = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class TypeInfo:
    """Name and colour of one nucleus type; ``color`` is RGB in 0..255."""

    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class TypeScheme:
    """Types by name and colour, and which types of other data each of them takes together."""

    names: Mapping[int, TypeInfo]  # Background, 0, included
    takes: Mapping[int, tuple[int | str, ...]] = field(default_factory=dict)  # Numbers, or names

    @property
    def n(self) -> int:
        """Number of types, background included."""
        return max(self.names) + 1

    def table(self, n: int, known: Mapping[int, TypeInfo] | None = None) -> Int64:
        """Return the new number of each type from 0 to n - 1; 0 = none takes it.

        ``known`` are their names so far. A type that is said to take nothing takes its own number.
        """
        found = np.zeros(n, np.int64)
        for kind in sorted(set(self.names) - {0}):
            for taken in self.takes.get(kind, (kind,)):
                alike = [k for k, t in (known or {}).items() if same_name(t.name, taken)]
                for old in [taken] if isinstance(taken, int) else alike:
                    if 0 < old < n:
                        found[old] = kind
        return found


def same_name(a: object, b: object) -> bool:
    """Whether two names of types are the same; case and spaces around do not count."""
    return str(a).strip().casefold() == str(b).strip().casefold()


def by_name(known: Mapping[int, TypeInfo], wanted: Mapping[int, TypeInfo], n: int) -> Int64 | None:
    """Return the number among ``wanted`` of each type 0 to n - 1 that has the same name there.

    None where names tell nothing: where there are none, or none of them is wanted.
    """
    found = np.zeros(n, np.int64)
    for old, info in known.items():
        alike = [k for k, t in wanted.items() if k and same_name(t.name, info.name)]
        if alike and 0 < old < n:
            found[old] = alike[0]
    return found if found.any() else None


@dataclass(frozen=True, eq=False)
class Nuclei:
    """One row per instance, columns as arrays; row i is instance ``label[i]``."""

    label: Int32
    bbox: Int32  # row0, col0, row1, col1
    centroid: Float64  # x, y of the centre of mass, pixels
    area: Int64  # Pixels
    contours: tuple[Int32, ...]  # Outer boundary, x, y pixel coordinates, not closed
    type: Int32  # Most frequent type other than background, 0 where the model has no types
    type_probability: Float64  # Share of its pixels that have this type
    magnitude_mean: Float64  # HV magnitude inside
    magnitude_p95: Float64  # Its 95 % quantile
    np_mean: Float64  # NP probability inside
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class ModelInfo:
    """What a user wants to know before running a model.

    Parameters
    ----------
    architecture : str
        Registry name: "compact", "hovernet" or "optimus".
    mode : str
        "fast" or "original" for HoVer-Net, "" otherwise.
    types : mapping of int to TypeInfo
        Nucleus types by class index, background (0) included; empty if untyped.
    mpp : float or None
        Micrometres per pixel the model was trained at; None = not known.
    hv_convention : str
        Name of the HV convention of its raw output ("hover_net" = [H, V] outward).
    parameters : int
        Number of weights.
    licence, source, sha256 : str
        Licence of the weights ("" = not stated), where the file came from, its hash.
    file_kind : str
        "napari-hovernet", "hover_net", "tiatoolbox", "optimus" ...
    config : mapping
        Arguments that rebuild the network (JSON-able).
    training, history : mapping, sequence
        Training arguments and per-epoch numbers where the file has them.
    notes : tuple of str
        Anything assumed while loading ("mpp not in the file: 0.25 assumed").
    origin : sequence of mapping
        Files the weights came from before this one, first to last: "file", "kind", "sha256".
    """

    architecture: str
    mode: str = ""
    types: Mapping[int, TypeInfo] = field(default_factory=dict)
    mpp: float | None = None
    hv_convention: str = "hover_net"
    parameters: int = 0
    licence: str = ""
    source: str = ""
    sha256: str = ""
    file_kind: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    origin: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """A network on a device, with its :class:`ModelInfo`.

    ``network`` is an ``nn.Module`` in eval mode: float RGB 0..255 (B, 3, H, W) ->
    dict of raw "np" (B, 2, h, w), "hv" (B, 2, h, w), "tp" (B, C, h, w) where typed.
    """

    network: Network
    info: ModelInfo
    device: torch.device


BACKGROUND = TypeInfo("background", (0, 0, 0))

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
YELLOW, ORANGE = (255, 255, 0), (255, 165, 0)


def _types(*types: tuple[str, tuple[int, int, int]]) -> Mapping[int, TypeInfo]:
    named = {i: TypeInfo(*known) for i, known in enumerate(types, start=1)}
    return MappingProxyType({0: BACKGROUND, **named})


PANNUKE = _types(
    ("neoplastic", RED),
    ("inflammatory", GREEN),
    ("connective", BLUE),
    ("dead", YELLOW),
    ("non-neoplastic epithelial", ORANGE),
)
"""PanNuke, names and colours as published with its HoVer-Net; the others' follow it."""
CONSEP = _types(
    ("miscellaneous", YELLOW), ("inflammatory", GREEN), ("epithelial", ORANGE), ("spindle", BLUE)
)
"""CoNSeP's merged classes, in the order of its authors' training code and label files."""
MONUSAC = _types(
    ("epithelial", ORANGE), ("lymphocyte", GREEN), ("macrophage", RED), ("neutrophil", BLUE)
)
PALETTE = (RED, GREEN, BLUE, YELLOW, ORANGE, (0, 255, 255), (255, 0, 255), (128, 0, 255),
           (0, 128, 128), (255, 128, 192))  # fmt: skip
"""Colours of types nobody has named, used in turn."""


def unnamed(kind: int, name: str = "") -> TypeInfo:
    """Name and colour a type by its number from 1, or colour one that has a name."""
    return TypeInfo(name or f"type {kind}", PALETTE[(kind - 1) % len(PALETTE)])


def numbered(n_types: int) -> dict[int, TypeInfo]:
    """Name types by their number; 0 is background."""
    return {0: BACKGROUND, **{kind: unnamed(kind) for kind in range(1, n_types)}}


def assumed(n_types: int | None, mode: str) -> tuple[dict[int, TypeInfo], str]:
    """Guess the type names of a published HoVer-Net, whose files do not hold them."""
    if n_types is None:
        return {}, ""
    said = f"type names are not in the file: {n_types} classes"
    if n_types == len(PANNUKE):
        return dict(PANNUKE), f"{said}, so those of PanNuke are assumed"
    if n_types == len(CONSEP) and mode == "original":
        return dict(CONSEP), f"{said} in original mode, so CoNSeP is assumed (MoNuSAC has 5 too)"
    if n_types == len(MONUSAC):
        return dict(MONUSAC), f"{said} in fast mode, so MoNuSAC is assumed (CoNSeP has 5 too)"
    return numbered(n_types), f"{said} of no known set, so they are numbered"


R = TypeVar("R")

MOST_WORKERS = 8
"""Threads used at most; beyond, memory is what limits."""
_LIMIT = [MOST_WORKERS]


def limit_workers(threads: int) -> None:
    """Let :func:`spread` use at most so many threads in this process."""
    _LIMIT[0] = max(threads, 1)


def worker_count() -> int:
    """Return how many threads may work: the cores this process may use, up to a limit."""
    here = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if here else os.cpu_count() or 1
    return max(1, min(cores, MOST_WORKERS, _LIMIT[0]))


BAND = 2**20
"""Pixels, about, of the rows that one thread works on at once."""


def bands(shape: tuple[int, ...], unit: int = 1) -> list[slice]:
    """Cut the rows of an image (H, W) into pieces for :func:`spread`, each of whole units of rows.

    An empty image is one piece.
    """
    height, rows = shape[0], max(BAND // max(shape[1] * unit, 1), 1) * unit
    return [slice(r, min(r + rows, height)) for r in range(0, max(height, 1), rows)]


def spread(work: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
    """Apply ``work`` to every piece, several at a time; results in the order of pieces.

    The result must not depend on how many threads there are: pieces must be cut alike on any
    machine, and write to places of their own.
    """
    threads = min(worker_count(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    left = iter(range(len(pieces)))  # each place is taken once
    results: list[Any] = [None] * len(pieces)

    def work_on() -> None:
        for at in left:
            results[at] = work(pieces[at])

    others = [_helpers().submit(work_on) for _ in range(threads - 1)]
    try:
        work_on()
    finally:  # nobody waits for a thread that a busy machine has not let begin
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()
    return results


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that stay: small pieces take less time than to start some."""
    return ThreadPoolExecutor(MOST_WORKERS - 1, "napari-hovernet piece")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # a fork has none of them
