"""What the separation makes of the case's own labels and maps."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...errors import UserError
from ..hv import hv_targets
from ..masks import label_parts
from ..measure.metrics import contingency, evaluate, outcomes
from ..params import SeparationParams
from ..types import Float32, Int32, Maps, Progress
from .bench import Bench, busiest
from .report import Place
from .separating import Separator
from .separation_limits import SeparationLimits
from .separation_probing import components_agreement, score
from .separation_scenes import exact_maps
from .separation_ways import WAYS

HEALTHY = ("local", "hover_net")
"""Presets that others are held against."""
MIN_COSINE_PIXELS = 200
HALF = 0.5
TINY = 1e-3


@dataclass(frozen=True, eq=False)
class Piece:
    """Part of an image: where most of its nuclei are.

    Parameters
    ----------
    item : int
    name : str
    corner : (int, int)
        Row and column in the image.
    maps : Maps, optional
        As predicted (or given).
    truth : int32 (h, w), optional
    found : int32 (h, w), optional
        Instances that the user's separation made of the maps.
    """

    item: int
    name: str
    corner: tuple[int, int]
    maps: Maps | None = None
    truth: Int32 | None = None
    found: Int32 | None = None


def pieces_steps(
    bench: Bench, *, with_maps: bool = True
) -> Generator[Progress, None, tuple[Piece, ...]]:
    """Collect parts of the images with their maps, truth and instances."""
    made: list[Piece] = []
    there = bench.case.has
    for number, index in enumerate(bench.variant_indices):
        yield Progress(number, len(bench.variant_indices), "looks at the images")
        item = bench.item(index)
        if item is None:
            continue
        maps = bench.maps(index) if with_maps and "maps" in there else None
        found = bench.instances(index) if maps is not None or "instances" in there else None
        shape = item.shape or (maps.shape if maps is not None else None)
        if shape is None or 0 in shape:
            continue
        box = bench.box(index) or busiest(item, shape, bench.params.variant_edge)
        made.append(
            Piece(
                index,
                item.name,
                (box[0], box[2]),
                None if maps is None or maps.shape != shape else _crop(maps, box),
                _part(item.labels, shape, box),
                _part(found, shape, box),
            )
        )
    return tuple(made)


def _part(plane: Int32 | None, shape: tuple[int, int], box: tuple[int, ...]) -> Int32 | None:
    if plane is None or plane.shape != shape:
        return None
    part: Int32 = np.ascontiguousarray(plane[box[0] : box[1], box[2] : box[3]])
    return part


def _crop(maps: Maps, box: tuple[int, int, int, int]) -> Maps:
    r0, r1, c0, c1 = box
    return Maps(np=maps.np[r0:r1, c0:c1], hv=maps.hv[:, r0:r1, c0:c1])


def radius_of(truths: Sequence[Int32], limits: SeparationLimits) -> float:
    """Return the radius in pixels of the usual nucleus, within the limits.

    Examples
    --------
    >>> radius_of((), SeparationLimits())
    9.0
    """
    areas = [np.bincount(truth.ravel())[1:] for truth in truths]
    sizes = np.concatenate([a[a > 0] for a in areas]) if areas else np.zeros(0)
    if not sizes.size:
        return limits.radius_low
    radius = float(np.sqrt(np.median(sizes) / np.pi))
    return min(max(radius, limits.radius_low), limits.radius_high)


def way_of(pieces: Sequence[Piece], limits: SeparationLimits) -> str:
    """Tell in which convention the maps are written, "" if that cannot be told.

    Against the truth; without it, against the shapes of what stands alone in NP.

    Examples
    --------
    >>> way_of((), SeparationLimits())
    ''
    """
    totals = dict.fromkeys((way.name for way in WAYS), 0.0)
    n = 0
    for piece in pieces:
        if piece.maps is None:
            continue
        shapes = piece.truth if piece.truth is not None else label_parts(piece.maps.np >= HALF)[0]
        if not shapes.any():
            continue
        target = Maps(np=np.zeros(shapes.shape, np.float32), hv=hv_targets(shapes))
        long = (target.magnitude > TINY) & (piece.maps.magnitude > 0)
        n += int(long.sum())
        for way in WAYS:
            cosines = _cosine(piece.maps.hv, way.write(target).hv)
            totals[way.name] += float(cosines[long].sum())
    if n < MIN_COSINE_PIXELS:
        return ""
    ranked = sorted(totals, key=lambda name: -totals[name])
    best, next_best = totals[ranked[0]] / n, totals[ranked[1]] / n
    sure = best >= limits.cosine and best - next_best >= limits.cosine_gap
    return ranked[0] if sure else ""


def _cosine(hv: Float32, other: Float32) -> npt.NDArray[np.float64]:
    norm = np.hypot(*hv.astype(np.float64)) * np.hypot(*other.astype(np.float64))
    product = (hv.astype(np.float64) * other).sum(0)
    cosine: npt.NDArray[np.float64] = np.zeros(norm.shape)
    np.divide(product, norm, out=cosine, where=norm > 0)
    return cosine


@dataclass(frozen=True, eq=False)
class Oracle:
    """AJI of the true labels with exact maps, through several separations.

    Parameters
    ----------
    own : float
        Mean over the images, of the user's separation.
    healthy : mapping of str to float
        Of the presets in order.
    components : float
        Of connected components.
    n_true : int
    places : tuple of Place
        Nuclei that the user's separation loses, merges or splits and "local" does not.
    """

    own: float
    healthy: Mapping[str, float]
    components: float
    n_true: int
    places: tuple[Place, ...] = ()


def oracle_steps(
    separator: Separator, pieces: Sequence[Piece], n_places: int
) -> Generator[Progress, None, Oracle | None]:
    """Cut the true labels out of exact maps; None if there are none."""
    own: list[float] = []
    healthy: dict[str, list[float]] = {name: [] for name in HEALTHY}
    components: list[float] = []
    places: list[Place] = []
    n_true = 0
    for number, piece in enumerate(pieces):
        yield Progress(number, len(pieces), "cuts the true nuclei")
        if piece.truth is None or not piece.truth.any():
            continue
        maps = exact_maps(piece.truth)
        found = _cut(separator, maps)
        made = score(piece.truth, found)
        n_true += made.n_true
        own.append(made.aji)
        for name in HEALTHY:
            same = separator.params == SeparationParams.preset(name)
            cut = found if same else Separator.of(name).cut(maps)
            healthy[name].append(evaluate(piece.truth, cut).aji)
        components.append(evaluate(piece.truth, label_parts(piece.truth > 0)[0]).aji)
        places += _wrong_places(piece, piece.truth, found)
    if not own:
        return None
    means = {name: float(np.mean(values)) for name, values in healthy.items()}
    return Oracle(
        float(np.mean(own)), means, float(np.mean(components)), n_true, tuple(places[:n_places])
    )


def _cut(separator: Separator, maps: Maps) -> Int32:
    try:
        return separator.cut(maps)
    except UserError:
        return np.zeros(maps.shape, np.int32)


def _wrong_places(piece: Piece, truth: Int32, found: Int32) -> list[Place]:
    """Boxes of the largest true nuclei that did not come out, one per image and kind."""
    outcome = outcomes(contingency(truth, found))
    made = []
    for kind, words in (
        ("merged", "nuclei that came out as one"),
        ("split", "a nucleus that came out in pieces"),
        ("missed", "a nucleus that was lost"),
    ):
        ids = outcome.true_ids[outcome.true == kind]
        if len(ids):
            made.append(place_of(piece, truth, int(ids[len(ids) // 2]), words))
    return made


def place_of(piece: Piece, labels: Int32, number: int, words: str) -> Place:
    """Return the box of an instance, in pixels of its image."""
    rows, cols = np.nonzero(labels == number)
    r, c = piece.corner
    box = (r + rows.min(), r + rows.max() + 1, c + cols.min(), c + cols.max() + 1)
    return Place(piece.item, piece.name, tuple(int(b) for b in box), words)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Parts:
    """Instances of the case held against connected components.

    Parameters
    ----------
    agreement : float
        Mean AJI of the instances to the connected components of their union.
    n_found, n_parts : int
        Instances, and connected components of their union.
    n_local : int
        Instances of the same maps by our default separation, 0 if there are no maps.
    aji, local_aji : float
        Against the truth, NaN without.
    n_touching : int
        True nuclei (or, without truth, nuclei by the default separation) that touch another.
    merged, split : tuple of Place
        Instances that hold several nuclei, and nuclei in several pieces, the worst first.
    """

    agreement: float
    n_found: int
    n_parts: int
    n_local: int
    aji: float
    local_aji: float
    n_touching: int
    merged: tuple[Place, ...] = ()
    split: tuple[Place, ...] = ()


@dataclass
class _Sums:
    agreement: list[float] = field(default_factory=list)
    aji: list[float] = field(default_factory=list)
    local_aji: list[float] = field(default_factory=list)
    found: int = 0
    parts: int = 0
    local: int = 0
    touching: int = 0
    merged: list[tuple[int, Place]] = field(default_factory=list)
    split: list[tuple[int, Place]] = field(default_factory=list)


def parts_steps(pieces: Sequence[Piece], n_places: int) -> Generator[Progress, None, Parts | None]:
    """Hold instances against connected components; None if there is nothing to hold them to."""
    local = Separator.of(None)
    sums = _Sums()
    for number, piece in enumerate(pieces):
        yield Progress(number, len(pieces), "compares with connected components")
        if piece.found is None or not piece.found.any():
            continue
        cut = None if piece.maps is None else local.cut(piece.maps)
        reference = piece.truth if piece.truth is not None else cut
        if reference is not None:
            _add(sums, piece, piece.found, reference, cut)
    if not sums.agreement:
        return None
    return Parts(
        float(np.mean(sums.agreement)),
        sums.found,
        sums.parts,
        sums.local,
        float(np.mean(sums.aji)) if sums.aji else float("nan"),
        float(np.mean(sums.local_aji)) if sums.local_aji else float("nan"),
        sums.touching,
        _worst(sums.merged, n_places),
        _worst(sums.split, n_places),
    )


def _worst(places: list[tuple[int, Place]], n: int) -> tuple[Place, ...]:
    return tuple(place for _, place in sorted(places, key=lambda p: -p[0])[:n])


def _add(sums: _Sums, piece: Piece, found: Int32, reference: Int32, cut: Int32 | None) -> None:
    sums.agreement.append(components_agreement(found))
    sums.found += _count(found)
    sums.parts += int(label_parts(found > 0)[0].max())
    sums.touching += touching(reference)
    if cut is not None:
        sums.local += _count(cut)
    if piece.truth is not None:
        sums.aji.append(evaluate(piece.truth, found).aji)
        if cut is not None:
            sums.local_aji.append(evaluate(piece.truth, cut).aji)
    sums.merged += merged_places(piece, found, reference)
    sums.split += split_places(piece, found, reference)


def merged_places(piece: Piece, found: Int32, reference: Int32) -> list[tuple[int, Place]]:
    """Find instances that hold several nuclei of the reference; how many, and where."""
    table = contingency(reference, found)
    inside = table.overlap > HALF * table.true_area[table.true]
    held = np.bincount(table.pred[inside], minlength=table.n_pred)
    made = []
    for at in np.argsort(-held)[:1]:
        if held[at] > 1:
            words = f"one instance that holds {held[at]} nuclei"
            number = int(table.pred_ids[at])
            made.append((int(held[at]), place_of(piece, found, number, words)))
    return made


def split_places(piece: Piece, found: Int32, reference: Int32) -> list[tuple[int, Place]]:
    """Find the nucleus of the reference that lies in most pieces; how many, and where."""
    table = contingency(reference, found)
    part = table.overlap > HALF * table.pred_area[table.pred]
    pieces = np.bincount(table.true[part], minlength=table.n_true)
    if not pieces.size or pieces.max() < 2:
        return []
    number = int(table.true_ids[int(pieces.argmax())])
    words = f"one nucleus in {pieces.max()} pieces"
    return [(int(pieces.max()), place_of(piece, reference, number, words))]


def touching(labels: Int32) -> int:
    """Count the nuclei that touch another one (by edges).

    Examples
    --------
    >>> touching(np.array([[1, 1, 2, 0, 3]], np.int32))
    2
    """
    parts = label_parts(labels > 0)[0]
    pairs = np.unique(np.stack([parts.ravel(), labels.ravel()]), axis=1)
    pairs = pairs[:, pairs[0] > 0]
    if not pairs.size:
        return 0
    shared = np.bincount(pairs[0])
    return len(np.unique(pairs[1][shared[pairs[0]] > 1]))


def _count(labels: Int32) -> int:
    return len(np.unique(labels)) - int((labels == 0).any())
