"""What a separation does with nuclei that are known: everything measured once, black box."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...errors import UserError
from ..masks import label_parts
from ..measure.metrics import evaluate
from ..params import SeparationParams
from ..types import Int32, Maps, Progress
from .separating import Separator
from .separation_masks import MaskFit, mask_fit
from .separation_scenes import (
    Scene,
    beside,
    clusters,
    exact_maps,
    inside_out,
    scenes,
    singles,
)
from .separation_ways import OURS, WAYS

FACTORS = (0.02, 0.1, 0.5, 1.0, 2.0, 50.0, 127.0)
"""What HV is multiplied by; the last is what int8 targets are stored with."""
PROBABILITIES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""NP of single nuclei, to find out from which on they are found."""
FOUND_IOU = 0.5
ALONE = "alone"
TILES = {
    "beside nuclei of other sizes": (1.8, 0.67, 1.0),
    "beside smaller nuclei with HV x 2": (0.67, 0.67, 2.0),
    "beside equal nuclei with HV x 3": (1.0, 1.0, 3.0),
}
"""What lies beside the nuclei: radii of two blocks in units of theirs, and a factor of HV."""
EXTREME = "beside equal nuclei with HV x 3"
"""Where the published separation fails, too."""
EMPTY_EDGE = 64
MANY_RADIUS, MANY_ROWS = 7.0, 18
"""Radius, and rows and columns, of the nuclei of which there are more than 256."""
STEPS = len(FACTORS) + len(TILES) + 4


@dataclass(frozen=True)
class Score:
    """How one scene came out; counts of nuclei."""

    aji: float
    n_true: int
    n_pred: int
    merged: int = 0
    split: int = 0
    missed: int = 0
    spurious: int = 0

    @property
    def too_few(self) -> int:
        """Nuclei that were merged or lost."""
        return self.merged + self.missed

    @property
    def too_many(self) -> int:
        """Nuclei that were split, and instances where there is nothing."""
        return self.split + self.spurious


def score(truth: Int32, found: Int32) -> Score:
    """Compare instances with the truth.

    Examples
    --------
    >>> score(np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 1]])).merged
    2
    """
    made = evaluate(truth, found)
    counts = made.outcomes.counts()
    return Score(
        made.aji,
        made.n_true,
        made.n_pred,
        counts["merged"],
        counts["split"],
        counts["missed"],
        counts["spurious"],
    )


@dataclass(frozen=True, eq=False)
class Probe:
    """What a separation did with generated nuclei.

    Parameters
    ----------
    name : str
    params : SeparationParams, optional
    radius : float
        Of the nuclei, pixels.
    error : str
        Why it failed on touching nuclei with exact maps, "" if it did not; then nothing else
        was measured.
    empty_error : str
        Why it failed on maps without nuclei.
    empty_found : int
        Instances it found there.
    repeat : float
        AJI between two results of the same maps.
    exact, soft : mapping of str to Score
        By scene.
    components : float
        AJI between its result and the connected components of that result.
    ways : mapping of str to float
        AJI by the convention that HV is written in.
    factors : mapping of float to float
        AJI by what HV is multiplied by.
    inside_out : float
        AJI with HV long in the centre and short on the rim.
    tiles : mapping of str to float
        AJI by what lies beside.
    pieces : float
        Instances per nucleus that stands alone.
    threshold : float
        Least NP at which a nucleus is found; NaN if none is.
    sees_hv : bool
        Whether the result is another one without HV.
    mask : MaskFit
        How its instances lie on the nuclei.
    ids : (int, int)
        Nuclei that were found in an image with more than 256 of them, and the ids they got.
    """

    name: str
    params: SeparationParams | None
    radius: float
    error: str = ""
    empty_error: str = ""
    empty_found: int = 0
    repeat: float = 1.0
    exact: Mapping[str, Score] | None = None
    soft: Mapping[str, Score] | None = None
    components: float = float("nan")
    ways: Mapping[str, float] | None = None
    factors: Mapping[float, float] | None = None
    inside_out: float = float("nan")
    tiles: Mapping[str, float] | None = None
    pieces: float = float("nan")
    threshold: float = float("nan")
    sees_hv: bool = True
    mask: MaskFit = field(default_factory=lambda: MaskFit(1.0))
    ids: tuple[int, int] = (0, 0)

    @property
    def aji(self) -> float:
        """AJI on touching nuclei with exact maps."""
        return self.exact["clusters"].aji if self.exact else float("nan")

    @property
    def best_way(self) -> str:
        """Convention of HV with which it works best; ours where that is as good."""
        ways = self.ways or {OURS: self.aji}
        return max(ways, key=lambda name: (ways[name], name == OURS))

    @property
    def way_spread(self) -> float:
        """Largest difference of AJI over the conventions."""
        values = tuple((self.ways or {}).values())
        return max(values) - min(values) if values else float("nan")

    @property
    def best_factor(self) -> float:
        """What HV has to be multiplied by for the best result; 1 where that is as good."""
        factors = self.factors or {1.0: self.aji}
        return max(factors, key=lambda factor: (factors[factor], factor == 1.0))

    @property
    def soft_aji(self) -> float:
        """Mean AJI over the scenes with soft maps."""
        made = tuple((self.soft or {}).values())
        return sum(s.aji for s in made) / len(made) if made else float("nan")


def probe_steps(separator: Separator, radius: float) -> Generator[Progress, None, Probe]:
    """Cut generated nuclei in every way that tells causes apart.

    Parameters
    ----------
    separator : Separator
    radius : float
        Of the nuclei, pixels.

    Yields
    ------
    Progress
        Between the cuts.

    Returns
    -------
    Probe
    """
    words = "cuts generated nuclei"
    yield Progress(0, STEPS, words)
    made = scenes(radius)
    crowd = made[0]
    empty_error, empty_found = _on_empty(separator)
    try:
        found = separator.cut(crowd.exact)
        again = separator.cut(crowd.exact)
    except UserError as error:
        return Probe(separator.name, separator.params, radius, str(error), empty_error)
    truth = crowd.labels

    def aji(maps: Maps) -> float:
        return _aji(separator, maps, truth)

    exact, soft = yield from _scores(separator, made)
    ways, factors, tiles = {}, {}, {ALONE: score(truth, found).aji}
    for way in WAYS:
        yield Progress(1, STEPS, words)
        ways[way.name] = tiles[ALONE] if way == WAYS[0] else aji(way.write(crowd.exact))
    for factor in FACTORS:
        yield Progress(2, STEPS, words)
        scaled = Maps(np=crowd.exact.np, hv=crowd.exact.hv * np.float32(factor))
        factors[factor] = tiles[ALONE] if factor == 1.0 else aji(scaled)
    for name in TILES:
        yield Progress(3, STEPS, words)
        tiles[name] = aji(_tile(truth, name, radius))
    pieces, threshold = _single_nuclei(separator, radius)
    flat = Maps(np=crowd.exact.np, hv=np.zeros_like(crowd.exact.hv))
    return Probe(
        separator.name,
        separator.params,
        radius,
        empty_error=empty_error,
        empty_found=empty_found,
        repeat=_agreement(found, again),
        exact=exact,
        soft=soft,
        components=components_agreement(found),
        ways=ways,
        factors=factors,
        inside_out=aji(inside_out(crowd.exact)),
        tiles=tiles,
        pieces=pieces,
        threshold=threshold,
        sees_hv=_sees(lambda: separator.cut(flat), found),
        mask=mask_fit(truth, found),
        ids=_ids(separator),
    )


def components_agreement(found: Int32) -> float:
    """AJI between instances and the connected components of their union; 1 = they are equal.

    Components by edges and by corners are tried.

    Examples
    --------
    >>> round(components_agreement(np.array([[1, 1, 2, 2]], np.int32)), 3)
    0.333
    """
    if not found.any():
        return float("nan")
    by_edges = label_parts(found > 0)[0]
    best = evaluate(by_edges, found).aji
    return max(best, evaluate(corner_parts(found > 0), found).aji)


def corner_parts(mask: npt.NDArray[np.bool_]) -> Int32:
    """Label parts of a mask that hang together by edges or corners."""
    from scipy import ndimage  # noqa: PLC0415 - here alone

    parts: Int32 = ndimage.label(mask, np.ones((3, 3)))[0].astype(np.int32)
    return parts


def _scores(
    separator: Separator, made: tuple[Scene, ...]
) -> Generator[Progress, None, tuple[dict[str, Score], dict[str, Score]]]:
    """Score all scenes, with exact and with soft maps."""
    exact, soft = {}, {}
    for one in made:
        yield Progress(0, STEPS, f"cuts {one.name}")
        exact[one.name] = _score(separator, one.exact, one.labels)
        soft[one.name] = _score(separator, one.soft, one.labels)
    return exact, soft


def _score(separator: Separator, maps: Maps, truth: Int32) -> Score:
    try:
        return score(truth, separator.cut(maps))
    except UserError:
        n = int(truth.max())
        return Score(0.0, n, 0, missed=n)


def _aji(separator: Separator, maps: Maps, truth: Int32) -> float:
    """AJI of the part of the maps that the truth covers; 0 if the separation fails."""
    try:
        found = separator.cut(maps)
    except UserError:
        return 0.0
    return evaluate(truth, found[: truth.shape[0], : truth.shape[1]]).aji


def _agreement(first: Int32, second: Int32) -> float:
    if not first.any() and not second.any():
        return 1.0
    return evaluate(first, second).aji


def _sees(cut: Callable[[], Int32], found: Int32) -> bool:
    try:
        return _agreement(found, cut()) < 1.0
    except UserError:
        return True


def _on_empty(separator: Separator) -> tuple[str, int]:
    """Cut maps without nuclei; returns why it failed, and how many it found."""
    nothing = exact_maps(np.zeros((EMPTY_EDGE, EMPTY_EDGE), np.int32))
    try:
        return "", int(len(np.unique(separator.cut(nothing))) - 1)
    except UserError as error:
        return str(error), 0


def _ids(separator: Separator) -> tuple[int, int]:
    """Count the nuclei found where there are more than a byte can number, and their ids."""
    labels = singles(MANY_RADIUS, (1.0,) * MANY_ROWS, repeats=MANY_ROWS)
    try:
        found = separator.cut(exact_maps(labels))
    except UserError:
        return 0, 0
    there = labels[(found > 0) & (labels > 0)]
    return len(np.unique(there)), len(np.unique(found)) - int((found == 0).any())


def _tile(truth: Int32, name: str, radius: float) -> Maps:
    """Return maps of the nuclei with others beside them."""
    first, second, factor = TILES[name]
    other = singles(radius * first, (1.0, second / first, 1.0), repeats=3)
    if factor > 1:
        other = clusters(radius * first)
    return beside(truth, other, radius, factor)


def tile_losses(separator: Separator, radius: float) -> tuple[float, ...]:
    """AJI that is lost beside other nuclei, of the sort that is met in practice."""
    truth = clusters(radius)
    alone = _aji(separator, exact_maps(truth), truth)
    return tuple(
        alone - _aji(separator, _tile(truth, name, radius), truth)
        for name in TILES
        if name != EXTREME
    )


def _single_nuclei(separator: Separator, radius: float) -> tuple[float, float]:
    """Return the pieces per single nucleus, and the least NP at which one is found."""
    labels = singles(radius, (1.0,) * 3)
    maps = exact_maps(labels)
    chances = np.concatenate([[0.0], PROBABILITIES]).astype(np.float32)
    try:
        pieces = float(separator.cut(maps).max()) / float(labels.max())
        found = separator.cut(Maps(np=chances[labels], hv=maps.hv))
    except UserError:
        return float("nan"), float("nan")
    outcome = evaluate(labels, found).outcomes
    there = [p for p, iou in zip(PROBABILITIES, outcome.iou, strict=True) if iou > FOUND_IOU]
    return pieces, min(there, default=1.0 if pieces == 1.0 else float("nan"))
