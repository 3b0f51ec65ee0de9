"""The parameters a run is being tuned with: edits, undo, presets, counts. Main thread only."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import ClassVar

from psygnal import Signal

from ..core.hv import read_hv
from ..core.inference.tiles import scaled_separation, working_scale
from ..core.measure.nuclei import measure
from ..core.params import SeparationParams
from ..core.separation import filters
from ..core.separation.tuning import StageCounts, StagedTuner, TuneParams, keep_ids, stage_counts
from ..core.types import Int32, Maps, Progress, Separation
from .segment import SegmentResult

MERGE_S = 1.0
"""Edits of one control that follow each other within this time are undone as one."""
UNDO_LIMIT = 200
"""Edits that can be taken back."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """What came out of the present parameters."""

    params: TuneParams  # What it was cut with
    separation: Separation  # Of the whole run, or of a part of it
    counts: StageCounts  # Of the same
    box: tuple[int, int, int, int] | None = None
    seconds: float = 0.0  # Time it took
    ids: Int32 | None = None  # int32 (H, W): the instances by ids that edits leave alone


@dataclass(frozen=True)
class Edits:
    """What was done to the parameters of a run, to come back to."""

    done: tuple[TuneParams, ...]  # From the start to the present ones
    undone: tuple[TuneParams, ...] = ()


class Tuning:
    """Parameters under edit, with undo and redo, and the latest answers."""

    params_changed: ClassVar[Signal] = Signal(object)
    tuned_changed: ClassVar[Signal] = Signal(object)

    def __init__(self) -> None:
        # To be read by all, and changed by the methods below alone:
        self.start = TuneParams()  # What the run was cut with: where reset leads
        self.tuned: Tuned | None = None  # The latest answer
        self._scale = 1.0
        self._done: list[TuneParams] = [self.start]
        self._undone: list[TuneParams] = []
        self._last = ("", 0.0)

    @property
    def params(self) -> TuneParams:
        """The present parameters."""
        return self._done[-1]

    @property
    def can_undo(self) -> bool:
        """Whether an edit can be taken back."""
        return len(self._done) > 1

    @property
    def can_redo(self) -> bool:
        """Whether an edit taken back can be made again."""
        return bool(self._undone)

    @property
    def edits(self) -> Edits:
        """All edits, for :meth:`begin` when the same run comes back."""
        return Edits(tuple(self._done), tuple(self._undone))

    def begin(self, result: SegmentResult | None, edits: Edits | None = None) -> None:
        """Start from what a run was cut with, or go on with earlier edits; forgets answers."""
        self.start, self._scale = TuneParams(), 1.0
        if result is not None:
            self.start = TuneParams(result.cut_with)
            self._scale = working_scale(result.info, result.params.inference)
        edits = edits or Edits((self.start,))
        self._done, self._undone, self._last = list(edits.done), list(edits.undone), ("", 0.0)
        self.tuned = None
        self.params_changed.emit(self.params)
        self.tuned_changed.emit(None)

    def preset(self, name: str) -> SeparationParams:
        """Return a preset with its lengths in pixels of this run."""
        return scaled_separation(SeparationParams.preset(name), self._scale)

    def defaults(self, preset: str) -> TuneParams:
        """Return where the reset of a single parameter leads: the preset, HV as it is stored."""
        return TuneParams(self.preset(preset))

    def choose_preset(self, name: str) -> None:
        """Take the separation of a preset; HV is read as before."""
        self.edit(replace(self.params, separation=self.preset(name)))

    def edit(self, params: TuneParams, control: str = "", now: float | None = None) -> None:
        """Change parameters; edits of one ``control`` in quick succession are undone as one."""
        if params == self.params:
            return
        when = time.monotonic() if now is None else now
        same = bool(control) and control == self._last[0] and when - self._last[1] <= MERGE_S
        self._last = (control, when)
        if same and len(self._done) > 1:
            self._done.pop()
        if params == self.params:  # moved back to where it was: nothing is left to undo
            self._last = ("", 0.0)
        else:
            self._done.append(params)
        del self._done[: -(UNDO_LIMIT + 1)]
        self._undone.clear()
        self.params_changed.emit(params)

    def reset(self) -> None:
        """Go back to what the run was cut with; can be undone."""
        self.edit(self.start)

    def undo(self) -> None:
        """Take the last edit back."""
        if self.can_undo:
            self._undone.append(self._done.pop())
            self._moved()

    def redo(self) -> None:
        """Make the edit last taken back again."""
        if self._undone:
            self._done.append(self._undone.pop())
            self._moved()

    def take(self, tuned: Tuned) -> bool:
        """Take in an answer; one to older parameters is dropped."""
        if tuned.params != self.params:
            return False
        self.tuned = tuned
        self.tuned_changed.emit(tuned)
        return True

    def _moved(self) -> None:
        self._last = ("", 0.0)
        self.params_changed.emit(self.params)


Box = tuple[int, int, int, int]

NUCLEUS_REACH = 40
"""Pixels around a part within which a nucleus at its border ends."""


def reach_of(params: TuneParams) -> int:
    """Return the pixels around a part that its result depends on; "hover_net"'s only nearly."""
    separation = params.separation
    if separation.method == "local":
        smooth = filters.reach_of(max(separation.scales))
        return smooth + separation.magnitude_window // 2 + NUCLEUS_REACH
    return max(separation.sobel_size, separation.peak_distance) + NUCLEUS_REACH


def grown(box: Box, by: int, shape: tuple[int, int]) -> Box:
    """Widen a box on all sides, within the image."""
    r0, r1, c0, c1 = box
    return (max(r0 - by, 0), min(r1 + by, shape[0]), max(c0 - by, 0), min(c1 + by, shape[1]))


def cropped(maps: Maps, box: Box) -> Maps:
    """Return the part of maps within a box."""
    r0, r1, c0, c1 = box
    return Maps(np=maps.np[r0:r1, c0:c1], hv=maps.hv[:, r0:r1, c0:c1])


class Tuners:
    """Tuners of one run, of the whole and of the last part; each for one thread at a time."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._whole = StagedTuner(maps)
        self._part: tuple[Box, StagedTuner] | None = None

    def of(self, box: Box | None) -> StagedTuner:
        """Return the tuner of a part, with the stages kept of the last one; None = all."""
        if box is None:
            return self._whole
        if self._part is None or self._part[0] != box:
            self._part = (box, StagedTuner(cropped(self._maps, box)))
        return self._part[1]


def tune_steps(
    tuner: StagedTuner, params: TuneParams, box: Box | None = None, before: Int32 | None = None
) -> Generator[Progress, None, Tuned]:
    """Separate with given parameters; instances keep the ids they have in ``before`` (H, W)."""
    yield Progress(0, 0, "Separating ...")
    began = time.perf_counter()
    found, ids = tuner(params), None
    if before is not None:
        r0, r1, c0, c1 = box or (0, before.shape[0], 0, before.shape[1])
        ids = keep_ids(found.labels, before[r0:r1, c0:c1], None if box is None else before)
    return Tuned(params, found, stage_counts(found), box, time.perf_counter() - began, ids)


def kept_steps(result: SegmentResult, tuned: Tuned) -> Generator[Progress, None, SegmentResult]:
    """Make a result of its own of a tuned separation of a whole run, with HV as it was read."""
    if result.maps is None or tuned.box is not None:
        raise TypeError("Only the whole of a run with its maps can be kept.")
    yield Progress(0, 0, "Measuring nuclei ...")
    maps = read_hv(result.maps, tuned.params.hv)
    separation = tuned.separation
    nuclei = measure(separation.labels, maps, type_names=result.info.types)
    return replace(
        result,
        labels=separation.labels,
        nuclei=nuclei,
        maps=maps,
        separation=separation,
        params=replace(result.params, separation=tuned.params.separation),  # as files will say
        used=tuned.params.separation,
        seconds=tuned.seconds,
    )
