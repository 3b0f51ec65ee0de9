"""What the panels look into: one run, its instances, the truth, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from ..core.params import SeparationParams
from ..core.types import Int32, Maps, Nuclei, Progress
from ..errors import InputError, UserError
from .jobs import OneThread
from .session import Run

if TYPE_CHECKING:
    from ..core.io.labels import Instances
    from ..core.measure.blobs import BlobReport
    from ..core.measure.changes import LabelDifference
    from ..core.measure.compare import Comparison
    from ..core.measure.magnitude import MagnitudeReport
    from ..core.separation.tuning import TuneParams
    from ..core.types import Bool, ModelInfo


@dataclass(frozen=True, eq=False)
class InstanceImage:
    """The instances of a run as they are now."""

    labels: Int32  # int32 (H, W): 0 = background
    corrected: bool = False  # Whether they differ from what the separation made (brush corrections)
    params: TuneParams | None = None  # What they were cut with, None = as the run was


@dataclass(frozen=True, eq=False)
class TruthChoice:
    """The labels a run is compared with."""

    key: Hashable  # Tells one source from another: ("layer", id), ("file", path) or ("run", id)
    name: str  # For tables and messages
    labels: Int32 | None = None  # int32 (H, W): Of the run's size, checked
    notes: tuple[str, ...] = ()  # What was assumed or looks odd
    error: str = ""  # Why they cannot be used, "" if they can
    read: Instances | None = None  # As a file holds them: types and their names


UNCERTAIN = (0.4, 0.7)
"""Mean probability of a nucleus of which the network is not sure."""
LOST_NP, LOST_AREA = 0.5, 30
"""Probability from which an area should have become a nucleus, and its least pixels."""
MANY_UNCERTAIN = 0.15
"""Share of uncertain places from which an image is not called healthy."""


@dataclass(frozen=True, eq=False)
class Uncertain:
    """Where the network is not sure: nuclei by id, and areas that should have become nuclei."""

    nuclei: tuple[int, ...] = ()
    lost: tuple[tuple[int, int, int, int], ...] = ()  # Boxes: row0, col0, row1, col1

    def __len__(self) -> int:
        return len(self.nuclei) + len(self.lost)


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that follows from maps, instances and, if there is one, the truth."""

    nuclei: Nuclei  # One row per instance, of the labels as they are now
    magnitude: MagnitudeReport
    blobs: BlobReport
    comparison: Comparison | None = None  # None without a truth, or when the comparison failed
    errors: tuple[str, ...] = ()  # What could not be found out, and why
    uncertain: Uncertain = field(default_factory=Uncertain)  # Where the network is not sure


def find_uncertain(nuclei: Nuclei, maps: Maps, labels: Int32) -> Uncertain:
    """List nuclei of middling probability, and areas of high probability that are in none."""
    import cv2  # noqa: PLC0415 - on first use

    low, high = UNCERTAIN
    unsure = nuclei.label[(nuclei.np_mean > low) & (nuclei.np_mean < high)]
    free = ((maps.np > LOST_NP) & (labels == 0)).astype(np.uint8)
    free = cv2.morphologyEx(free, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # rims are no areas
    _, _, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    boxes = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= LOST_AREA][:, :4].tolist()
    lost = tuple((y, x, y + tall, x + wide) for x, y, wide, tall in boxes)
    return Uncertain(tuple(unsure.tolist()), lost)


class Study(OneThread):
    """One run under the glass; results of another run, or of older labels, are refused."""

    run_changed: ClassVar[Signal] = Signal(object)
    labels_changed: ClassVar[Signal] = Signal(object)
    truth_changed: ClassVar[Signal] = Signal(object)
    findings_changed: ClassVar[Signal] = Signal(object)
    nucleus_changed: ClassVar[Signal] = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        # To be read by all, and changed by the methods below alone:
        self.run: Run | None = None  # The run looked into
        self.instances: InstanceImage | None = None  # As they are now, corrections included
        self.truth: TruthChoice | None = None  # What the run is compared with
        self.findings: Findings | None = None  # None until the run was looked at
        self.nucleus = 0  # Id of the nucleus looked at, 0 = none
        self.ticket = 0  # Changes with everything findings depend on

    @property
    def labels(self) -> Int32 | None:
        """Label image of :attr:`instances`, int32 (H, W)."""
        return None if self.instances is None else self.instances.labels

    def choose_run(self, run: Run | None) -> None:
        """Look into another run; the truth stays, to be checked against the new size."""
        self._on_main_thread()
        if run is self.run:
            return
        self.run = run
        self.instances = None if run is None else InstanceImage(run.result.labels)
        self.ticket += 1
        if self.findings is not None:
            self.findings = None
            self.findings_changed.emit(None)
        self.run_changed.emit(run)
        self.look_at(0)

    @property
    def cut_with(self) -> SeparationParams | None:
        """What the instances on screen were cut with, None without a run."""
        if self.run is None or self.instances is None:
            return None
        params = self.instances.params
        return self.run.result.cut_with if params is None else params.separation

    def set_labels(
        self, labels: Int32, *, corrected: bool, params: TuneParams | None = None
    ) -> None:
        """Take the instances as they are now, and what they were cut with; they must not change."""
        self._on_main_thread()
        if self.run is None:
            return
        if corrected and params is None and self.instances is not None:
            params = self.instances.params
        self.instances = InstanceImage(labels, corrected, params)
        self.ticket += 1  # old findings stay in sight until there are new ones
        self.labels_changed.emit(self.instances)

    def choose_truth(self, truth: TruthChoice | None) -> None:
        """Compare with this from now on; None = with nothing."""
        self._on_main_thread()
        self.truth = truth
        self.ticket += 1
        self.truth_changed.emit(truth)

    def look_at(self, nucleus: int) -> None:
        """Look at one nucleus, 0 = none."""
        self._on_main_thread()
        if nucleus != self.nucleus:
            self.nucleus = nucleus
            self.nucleus_changed.emit(nucleus)

    def take(self, findings: Findings, ticket: int) -> bool:
        """Take in findings, unless something they depend on has changed since ``ticket``."""
        self._on_main_thread()
        if ticket != self.ticket:
            return False
        self.findings = findings
        self.findings_changed.emit(findings)
        return True


@dataclass(frozen=True)
class Verdict:
    """What a run amounts to in one line, and the tab to go to next."""

    text: str
    tone: str = ""  # "good", "warn", "bad" or "" = neither
    step: str = ""  # "segment", "check", "train" or "why"
    step_label: str = ""  # As a button says it, "" = there is no next step


def verdict(study: Study) -> Verdict:
    """Sum up what is on screen; "healthy" is never said where many nuclei are uncertain."""
    run, found = study.run, study.findings
    if run is None:
        return Verdict("")
    if found is None:
        return Verdict(f"{_counted(len(run.result.nuclei))} · looking closer ...")
    n, unsure = len(found.nuclei), len(found.uncertain)
    if not n:
        some = f"; {unsure:,} likely ones were dropped" if unsure else ""
        return Verdict(f"No nuclei found{some}", "bad", "why", "Why?")
    many = unsure > MANY_UNCERTAIN * (n + len(found.uncertain.lost))
    hv, blobs = _hv_word(found, many=many), found.blobs.n_suspected
    parts = [
        _counted(n),
        "" if found.comparison is None else f"AJI {found.comparison.prediction.aji:.2f}",
        f"{blobs:,} blob{'' if blobs == 1 else 's'}" if blobs else "no blobs",
        hv,
        f"{unsure:,} uncertain" if unsure else "",
    ]
    text = " · ".join(part for part in parts if part)
    wrong = found.magnitude.misdirected or found.magnitude.verdict == "collapsed"
    if wrong or found.magnitude.verdict == "weak":
        return Verdict(text, "bad" if wrong else "warn", "why", "Why?")
    if blobs:
        return Verdict(text, "bad", "check", "Show blobs" if blobs > 1 else "Show blob")
    return Verdict(text, "warn" if many else "good", "check", "Check")


def _counted(n: int) -> str:
    return f"{n:,} {'nucleus' if n == 1 else 'nuclei'}"


def _hv_word(found: Findings, *, many: bool) -> str:
    """Say how HV is; where many nuclei are uncertain, health is not for magnitude to tell."""
    magnitude = found.magnitude
    if magnitude.verdict != "healthy":
        return f"HV {magnitude.verdict} ({magnitude.inside.mean:.2f})"
    if magnitude.misdirected:  # measured against nuclei as cut: of blobs it says nothing new
        return "" if found.blobs.n_suspected else "HV points the wrong way"
    return "" if many else "HV healthy"


@dataclass(frozen=True, eq=False)
class Case:
    """What is looked into."""

    maps: Maps  # Of the run
    labels: Int32  # int32 (H, W): Instances as they are now
    info: ModelInfo  # For the names of types
    separation: SeparationParams  # What the instances were cut with
    mask: Bool | None = None  # bool (H, W): Mask of the separation
    truth: Int32 | None = None  # int32 (H, W): Of the same size
    read: Instances | None = None  # The truth as its file holds it: types and their names
    mpp: float | None = None  # Micrometres per pixel of the image, None = not known


def finding_steps(case: Case) -> Generator[Progress, None, Findings]:
    """Measure nuclei, judge magnitude, look for blobs, compare with the truth."""
    from ..core.measure.blobs import blob_report  # noqa: PLC0415 - on first use
    from ..core.measure.magnitude import magnitude_report  # noqa: PLC0415
    from ..core.measure.nuclei import measure  # noqa: PLC0415

    yield Progress(0, 4, "Measuring nuclei ...")
    nuclei = measure(case.labels, case.maps, type_names=case.info.types)
    uncertain = find_uncertain(nuclei, case.maps, case.labels)
    yield Progress(1, 4, "Looking at the magnitude ...")
    magnitude = magnitude_report(case.maps, case.labels)
    yield Progress(2, 4, "Looking for blobs ...")
    blobs = blob_report(case.maps, case.labels, mask=case.mask)
    yield Progress(3, 4, "Comparing ...")
    comparison: Comparison | None = None
    errors: tuple[str, ...] = ()
    if case.truth is not None:
        try:
            comparison = _compared(case, nuclei)
        except UserError as error:  # a truth that cannot be used spoils nothing else
            errors = (str(error),)
    return Findings(nuclei, magnitude, blobs, comparison, errors, uncertain)


def _compared(case: Case, nuclei: Nuclei) -> Comparison:
    """Compare with the truth, types too where both have them."""
    from ..core.measure.compare import check_truth, compare  # noqa: PLC0415 - on first use
    from .typed import typed_truth, types_by_id  # noqa: PLC0415

    if case.truth is None:
        raise TypeError("There is no truth to compare with.")
    truth = check_truth(case.truth, case.labels.shape)
    if case.read is not None:
        truth = typed_truth(truth, case.read, case.info.types)
    types = types_by_id(nuclei) if case.info.types else None
    return compare(truth, case.labels, case.maps, case.separation, types, case.mpp)


@dataclass(frozen=True, eq=False)
class Given:
    """Labels as a source gives them."""

    labels: npt.NDArray[Any]  # array (H, W): Not checked yet
    origin: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()  # What was assumed while they were read
    read: Instances | None = None  # Where they are of a file


@dataclass(frozen=True, eq=False)
class TruthSource:
    """Where true labels come from."""

    key: Hashable  # ("layer", id), ("file", path) or ("run", id)
    name: str  # For tables and messages
    read: Callable[[Target], Given]


@dataclass(frozen=True, eq=False)
class Target:
    """What the labels have to fit: shape of a run, and its first pixel in the whole image."""

    shape: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    region: bool = False  # Whether it is only a part of the image


def target_of(run: Run) -> Target:
    """Return what true labels for a run have to fit."""
    height, width = run.result.labels.shape
    region = run.result.params.region is not None or run.result.offset != (0, 0)
    return Target((height, width), run.result.offset, region)


def file_source(path: str) -> TruthSource:
    """Labels in a file of any kind that :func:`read_labels` knows."""

    def read(target: Target) -> Given:
        from ..core.io.open import read_labels  # noqa: PLC0415 - on first use

        (rows, cols), (height, width) = target.offset, target.shape
        found = read_labels(path, (rows + height, cols + width) if target.region else target.shape)
        return Given(found.labels, notes=found.notes, read=found)

    return TruthSource(("file", path), path.replace("\\", "/").rsplit("/", 1)[-1], read)


def truth_steps(
    source: TruthSource, target: Target, before: TruthChoice | None = None
) -> Generator[Progress, None, TruthChoice]:
    """Read and check true labels; what has not changed since ``before`` stays the same object."""
    from ..core.measure.compare import check_truth  # noqa: PLC0415 - on first use

    yield Progress(0, 0, f"Reading {source.name} ...")
    try:
        given = source.read(target)
        labels, notes = given.labels, given.notes
        offset = target.offset if target.region else None
        if given.origin is not None and given.origin != target.offset:
            labels, note = _part(given, target)
            notes, offset = (*notes, note), None
        truth = check_truth(labels, target.shape, offset)
        notes = (*notes, *truth.notes)
        choice = TruthChoice(source.key, source.name, truth.labels, notes, read=given.read)
    except UserError as error:
        choice = TruthChoice(source.key, source.name, error=str(error))
    return before if before is not None and _same(before, choice) else choice


def _part(given: Given, target: Target) -> tuple[npt.NDArray[Any], str]:
    """Cut labels whose place in the image is known to where the run lies."""
    at = given.origin or (0, 0)
    row, col = target.offset[0] - at[0], target.offset[1] - at[1]
    height, width = given.labels.shape[-2:]
    fits = row + target.shape[0] <= height and col + target.shape[1] <= width
    if row < 0 or col < 0 or not fits:
        raise InputError(
            f"It covers {height} x {width} pixels from row {at[0]}, column {at[1]}; the run "
            f"{target.shape[0]} x {target.shape[1]} from row {target.offset[0]}, column "
            f"{target.offset[1]}. Choose one that covers the whole of it."
        )
    part = given.labels[..., row : row + target.shape[0], col : col + target.shape[1]]
    return part, f"Cut to the run's region ({target.shape[0]} x {target.shape[1]})."


def _same(a: TruthChoice, b: TruthChoice) -> bool:
    bare = [replace(one, labels=None, read=None).__dict__ for one in (a, b)]
    if bare[0] != bare[1] or _types_read(a) != _types_read(b):
        return False
    if a.labels is None or b.labels is None:
        return a.labels is b.labels
    return np.array_equal(a.labels, b.labels)


def _types_read(choice: TruthChoice) -> Any:
    read = choice.read
    return None if read is None else (read.type.tolist(), read.type_names)


EMPTY = "-"
"""Stands for a number that there is not."""


@dataclass(frozen=True)
class DeltaRow:
    """One line of the table of two runs."""

    name: str
    tip: str  # What it is
    a: float | str  # Of either run
    b: float | str
    digits: int = 0  # Behind the point

    @property
    def delta(self) -> float:
        """B minus A; NaN where there is no number."""
        if isinstance(self.a, str) or isinstance(self.b, str):
            return math.nan
        return self.b - self.a

    def texts(self) -> tuple[str, str, str]:
        """Return A, B and the difference (with its sign) as shown."""
        a, b = (v if isinstance(v, str) else self._text(v) for v in (self.a, self.b))
        if isinstance(self.a, str) or isinstance(self.b, str):
            return a, b, "same" if a == b else "differs"
        delta = self._text(self.delta, "+")
        return a, b, delta if delta.strip("+-0.") or delta == EMPTY else delta[1:]

    def _text(self, value: float, sign: str = "") -> str:
        return EMPTY if math.isnan(value) else f"{value:{sign},.{self.digits}f}"


@dataclass(frozen=True, eq=False)
class TwoRuns:
    """What is known of two runs, and where they differ."""

    a: Findings
    b: Findings
    difference: LabelDifference

    def rows(self) -> tuple[DeltaRow, ...]:
        """Return the table, scores only where there is a truth."""
        scored = self.a.comparison is not None and self.b.comparison is not None
        lines = (*LINES, *(SCORES if scored else ()))
        return tuple(
            DeltaRow(name, tip, read(self.a), read(self.b), digits)
            for name, tip, digits, read in lines
        )

    @property
    def errors(self) -> tuple[str, ...]:
        """What could not be found out, each once."""
        return tuple(dict.fromkeys((*self.a.errors, *self.b.errors)))


def _score(name: str) -> tuple[str, str, int, Callable[[Findings], float]]:
    def read(found: Findings) -> float:
        scores = found.comparison
        return math.nan if scores is None else getattr(scores.prediction, name.lower())

    return name, f"{name} against the truth chosen in Compare.", 3, read


LINES: tuple[tuple[str, str, int, Callable[[Findings], float | str]], ...] = (
    ("Nuclei", "Instances, corrections included.", 0, lambda f: len(f.nuclei)),
    ("Magnitude inside", "Mean HV magnitude inside nuclei.", 3, lambda f: f.magnitude.inside.mean),
    ("Verdict", "What the bounds of the inspector say of it; length alone is not health.", 0,
     lambda f: f.magnitude.verdict),
    ("Direction", "Mean cosine of HV to the exact HV of these very instances; 1 = right, 0 = "
     "unrelated.", 3, lambda f: f.magnitude.direction),
    ("Components", "Connected areas of the mask of nuclei.", 0, lambda f: f.blobs.n_components),
    ("Suspected blobs", "Components that look like several nuclei in one.", 0,
     lambda f: f.blobs.n_suspected),
)  # fmt: skip
"""Lines of the table: name, what it is, digits, where it stands."""
SCORES = tuple(map(_score, ("AJI", "PQ", "Dice")))


def why_not(a: Run, b: Run) -> str:
    """Say why two runs cannot be set side by side, "" if they can."""
    for run in (a, b):
        if run.result.maps is None:
            return f"{run.title} was made without keeping its maps: run it again."
    if a.id == b.id:
        return f"{a.title} cannot be set beside itself: choose another run."
    if a.image.key != b.image.key:
        return (
            f"{a.title} was made from {a.image.name!r} and {b.title} from {b.image.name!r}: choose "
            "two runs over the same image."
        )
    plane_a, plane_b = (getattr(run.placement, "plane", ()) for run in (a, b))
    if plane_a != plane_b:
        return (
            f"{a.title} covers plane {_plane(plane_a)} and {b.title} plane {_plane(plane_b)}: run "
            "both on the same plane."
        )
    if a.result.offset != b.result.offset or a.result.labels.shape != b.result.labels.shape:
        return (
            f"{a.title} covers {_region(a)} and {b.title} {_region(b)}: run both on the same "
            "region."
        )
    return ""


def case_of(run: Run, labels: Int32, truth: Int32 | None = None) -> Case:
    """Return what is looked into of a run with maps."""
    if run.result.maps is None:
        raise TypeError(f"{run.title} has no maps.")
    separation = run.result.separation
    return Case(
        maps=run.result.maps,
        labels=labels,
        info=run.result.info,
        separation=run.result.cut_with,
        mask=None if separation is None else separation.mask,
        truth=truth,
    )


def two_runs_steps(a: Case, b: Case) -> Generator[Progress, None, TwoRuns]:
    """Look into two runs and tell where they differ; runs in a worker thread."""
    from ..core.measure.changes import label_difference  # noqa: PLC0415 - on first use

    yield Progress(0, 0, "Where they differ ...")
    difference = label_difference(a.labels, b.labels)
    found_a = yield from finding_steps(a)
    found_b = yield from finding_steps(b)
    return TwoRuns(found_a, found_b, difference)


def _plane(plane: tuple[int, ...]) -> str:
    return ", ".join(str(i + 1) for i in plane) or "1"


def _region(run: Run) -> str:
    height, width = run.result.labels.shape
    row, col = run.result.offset
    return f"{height} x {width} pixels from row {row}, column {col}"
