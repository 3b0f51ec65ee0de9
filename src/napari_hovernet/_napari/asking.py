"""Why nuclei are as they are, for one viewer: asked, fixed, taken back. Knows no widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from ..app.diagnose import (
    Applied,
    Asked,
    DiagnoseChoice,
    Diagnosis,
    Why,
    apply_steps,
    case_of,
    diagnosis_steps,
    open_steps,
    retest_steps,
    unfinished,
    why_steps,
)
from ..core.diagnosis.engine import Found
from ..core.types import Progress
from ..core.weights import DEFAULT
from ..errors import InputError, UserError
from . import viewer as images
from .jobs import Handlers, QtJob
from .viewer import Box

if TYPE_CHECKING:
    from ..app.jobs import Steps
    from ..core.diagnosis.report import Finding
    from .workspace import Workspace

TUNABLE = ("separation", "np_threshold", "hv_order", "hv_sign", "hv_scale")
"""Remedies that are parameters of the separation: its own undo takes them back."""
OF_MAPS = (*TUNABLE, "np_channel", "np_activation", "labels_turn", "labels_shift", "labels_zoom",
           "maps_turn", "maps_shift")  # fmt: skip
"""Remedies that need no network: they can be applied before all checks are done."""
PAUSE_S = 0.15
"""Least time between two steps that are shown within a check."""
LEAST_HALF, MARGIN = 48, 8
"""Pixels shown at least on either side of an example, and around it."""
VIEWS = {"np": "probability", "hv_x": "hv", "hv_y": "hv", "magnitude": "magnitude"}
"""Views that show what a finding is to be looked at in."""


class Asking:
    """One question at a time: about what is on screen, or about files."""

    changed: ClassVar[Signal] = Signal(object)

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.why = Why(work.study)
        # To be read by all, and changed by the methods below alone:
        self.about_files = False  # Whether files were asked about last, not what is on screen
        self.of_files: Diagnosis | None = None  # Of files, once it is finished
        self.chosen = ""  # Id of the finding looked at, "" = the first cause
        self.said: tuple[str, str] = ("", "")  # What goes on or was done, and its tone
        self.done = self.total = 0  # Checks
        self._found: tuple[Finding, ...] = ()  # In files, so far
        self._job: QtJob | None = None
        self._applied: Applied | None = None  # By the tuner
        self._fixed, self._told = "", 0.0
        self._pictured: tuple[str, Box] = ("", (0, 0, 0, 0))
        work.study.run_changed.connect(self._other_run)
        work.study.labels_changed.connect(self._other_labels)
        work.study.truth_changed.connect(self._other_labels)

    # ------------------------------------------------------------ what is known

    @property
    def busy(self) -> bool:
        """Whether checks are being made, or a remedy is applied."""
        return self._job is not None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found by now, causes first."""
        return self._found if self.about_files else self.why.findings

    @property
    def finished(self) -> Diagnosis | None:
        """The diagnosis that is shown, None until it has ended: what a report is made of."""
        return self.of_files if self.about_files else self.why.diagnosis

    @property
    def causes(self) -> tuple[Finding, ...]:
        """What is wrong and is no consequence of something else."""
        return tuple(f for f in self.findings if f.is_cause)

    @property
    def finding(self) -> Finding | None:
        """The finding that is looked at: the one chosen, else the first cause."""
        found = next((f for f in self.findings if f.id == self.chosen), None)
        return found or next(iter(self.causes), None)

    @property
    def places(self) -> tuple[Box, ...]:
        """Boxes of the run that show the finding, the worst first; else those of its blobs."""
        finding, found = self.finding, self.work.study.findings
        if finding is None or self.about_files:
            return ()
        if finding.places or found is None:
            return tuple(place.box for place in finding.places)
        boxes = (row.bbox for row in found.blobs.suspects)
        return tuple((r0, r1, c0, c1) for r0, c0, r1, c1 in boxes)

    def picture(self) -> Any:
        """Return the worst place with outlines, uint8 (H, W, 3); it stays the one found first."""
        labels, pixels, places = self.work.study.labels, self._image(), self.places
        if self.finding is None or labels is None or not isinstance(pixels, np.ndarray):
            return None
        if self._pictured[0] != self.finding.id and places:
            self._pictured = (self.finding.id, places[0])
        if self._pictured[0] != self.finding.id:
            return None
        r0, r1, c0, c1 = self._pictured[1]
        half = max(r1 - r0, (c1 - c0) // 2, LEAST_HALF // 2) + MARGIN
        row, col = (r0 + r1) // 2, (c0 + c1) // 2
        rows = slice(max(row - half // 2 - MARGIN, 0), row + half // 2 + MARGIN)
        cols = slice(max(col - half - MARGIN, 0), col + half + MARGIN)
        from ..app.figures import outlined  # noqa: PLC0415 - on first use

        return outlined(pixels[rows, cols], labels[rows, cols])

    @property
    def outdated(self) -> bool:
        """Whether something else is on screen than what was asked about."""
        asked = self.why.asked
        if self.about_files or asked is None or not self.why.findings:
            return False
        return asked.ticket != self.work.study.ticket

    def headline(self) -> tuple[str, str]:
        """Say in a line what matters now, and in which tone."""
        if self.said[0]:
            return self.said
        if not self.findings:
            blocked = self.why.blocked
            return blocked or "Makes all checks that the run allows, the quick ones first.", ""
        if self.outdated:
            return "The nuclei have changed since: ask again.", "warn"
        causes, tested = self.causes, [f for f in self.findings if f.verdict != "not tested"]
        if not causes:
            return f"Nothing wrong was found in {len(tested)} checks.", "good"
        fault = causes[0].verdict == "fault"
        likely = (
            "This is the most likely cause" if fault else "Nothing is surely wrong; have a look"
        )
        more = f"; {len(causes) - 1} more below" if len(causes) > 1 else ""
        return f"{likely} ({causes[0].certainty:.0%} sure{more}).", "bad" if fault else "warn"

    def cannot_fix(self) -> str:
        """Say why the finding looked at cannot be fixed here, "" if it can."""
        finding, asked = self.finding, self.why.asked
        if finding is None or (self.busy and finding.remedy.action not in OF_MAPS):
            return "The checks have not ended yet."
        if self.about_files:
            return "" if self.of_files is not None and not self.busy else "Not yet."
        if asked is None or self.outdated:
            return "The nuclei have changed since: ask again."
        if self.why.diagnosis is None and finding.remedy.action in OF_MAPS:
            return ""
        return self.why.cannot_apply(finding)

    # ------------------------------------------------------------ asking

    def ask(self) -> None:
        """Ask about what is on screen; findings come as they are made."""
        work, run = self.work, self.work.study.run
        if run is None:
            raise InputError(self.why.blocked)
        self._stop()
        self.about_files, self.of_files, self._found = False, None, ()
        self.chosen, self._applied = "", None
        pixels, shelf = self._image(), work.shelf
        source, device = run.result.info.source or DEFAULT, work.session.options.device
        asked = self.why.ask(None, lambda: shelf.get(source, device))

        def steps() -> Steps[Diagnosis]:
            from ..core.inference.images import as_source  # noqa: PLC0415 - imports torch

            yield Progress(0, 0, "Looking at what is there ...")
            image = None
            if pixels is not None:
                part = as_source(pixels)
                image = part.read(0, part.shape[0], 0, part.shape[1])
            return (yield from why_steps(replace(asked, image=image)))

        def take(found: Any) -> None:
            self.why.take(asked, found)

        self._start("Asking why", steps, take)

    def ask_files(self, choice: DiagnoseChoice) -> None:
        """Ask about files: data, a model, a separation, a loss."""
        self._stop()
        self.about_files, self.of_files, self._found, self.chosen = True, None, (), ""

        def steps() -> Steps[Diagnosis]:
            case = yield from open_steps(choice)
            return (yield from diagnosis_steps(case))

        self._start("Asking about files", steps, self._take_files)

    def cancel(self) -> None:
        """Stop; what was found by then stays."""
        if self._job is not None:
            self._job.cancel()

    def choose(self, finding_id: str) -> None:
        """Look at another finding."""
        self.chosen = finding_id
        self._tell()

    def _image(self) -> Any:
        """Return the pixels of the run's region as its layer has them, None if it is gone."""
        run = self.work.study.run
        layers = self.work.image_layers()
        layer = next((x for x in layers if run is not None and id(x) == run.image.key), None)
        if run is None or layer is None:
            return None
        plane = tuple(run.placement.plane)
        (row, col), (height, width) = run.result.offset, run.result.labels.shape
        data = images.full_data(layer)
        return (data[plane] if plane else data)[row : row + height, col : col + width]

    def _take_files(self, found: Any) -> None:
        self.of_files = found if isinstance(found, Diagnosis) else None
        self._found = found.report.findings if isinstance(found, Diagnosis) else tuple(found)

    def _start(self, name: str, steps: Callable[[], Any], take: Callable[[Any], None]) -> None:
        def progress(step: Progress) -> None:
            self.done, self.total = step.done, step.total
            self.said = (f"Checking: {step.message}" if step.total else step.message, "")
            if isinstance(step, Found):
                take(step.findings)
            elif time.monotonic() - self._told < PAUSE_S:
                return  # steps may come faster than they can be shown
            self._tell()

        def done(diagnosis: Diagnosis) -> None:
            self._job, self.said = None, ("", "")
            take(diagnosis)
            self._tell()

        def failed(error: UserError) -> None:
            self._job, self.said = None, (str(error), "bad")
            self._tell()

        def cancelled() -> None:
            self._job, self.said = None, ("Stopped; this is what was found by then.", "warn")
            self._tell()

        self.said, self.done, self.total = ("Starting ...", ""), 0, 0
        self._job = self.work.runner.start(name, steps, Handlers(done, failed, progress, cancelled))
        self._tell()

    def _stop(self) -> None:
        if self._job is not None:
            self._job.handlers = Handlers(lambda _: None, lambda _: None)
            self._job.cancel()
            self._job = None

    # ------------------------------------------------------------ fixing

    def fix(self) -> None:
        """Do what the finding looked at asks for: the nuclei on screen change."""
        reason, finding = self.cannot_fix(), self.finding
        if reason or finding is None:
            raise InputError(reason)
        if self.about_files:
            self._try_in_files(finding)
            return
        asked, known, so_far = self.why.asked, self.why.diagnosis, self.why.findings
        if asked is None:
            return

        def steps() -> Steps[Applied]:
            from ..core.diagnosis.bench import Bench  # noqa: PLC0415 - on first use

            diagnosis = known or unfinished(Bench(case_of(asked, None), None), so_far)
            return apply_steps(asked, diagnosis, finding)

        def done(applied: Applied) -> None:
            self._put(applied, finding)

        def failed(error: UserError) -> None:
            self.said = (str(error), "bad")
            self._tell()

        self._stop()
        self.work.runner.start("Fixing", steps, Handlers(done, failed))

    def _put(self, applied: Applied, finding: Finding) -> None:
        work = self.work
        if applied.asked_of.ticket != work.study.ticket:
            self.said = ("The nuclei have changed since: ask again.", "warn")
        else:
            if finding.remedy.action in TUNABLE and not work.tuning_blocked():
                self._applied = applied
                work.tuning.edit(applied.tune)
            else:
                self.why.put(applied)
            self.said, self._fixed = (f"Fixed: {arrowed(applied.words)}.", "good"), finding.id
        self._tell()

    @property
    def fixed(self) -> bool:
        """Whether the finding looked at was fixed last, and that still holds."""
        finding = self.finding
        return finding is not None and finding.id == self._fixed and self.can_undo

    @property
    def can_undo(self) -> bool:
        """Whether the last fix can be taken back: nothing else has changed since."""
        applied, tuning = self._applied, self.work.tuning
        if applied is not None and tuning.params == applied.tune and tuning.can_undo:
            return True
        return self.why.can_undo

    def undo(self) -> None:
        """Take the last fix back."""
        if not self.can_undo:
            return
        if self._applied is not None:
            self.said = (f"Taken back: {arrowed(self._applied.words)}.", "")
            self._applied = None
            self.work.tuning.undo()
        else:
            self.said = (f"{arrowed(self.why.undo())}.", "")
        self._tell()

    def _try_in_files(self, finding: Finding) -> None:
        """Make the checks again with the remedy of one finding; the files stay as they are."""
        diagnosis = self.of_files
        if diagnosis is None:
            return

        def steps() -> Steps[Diagnosis]:
            return retest_steps(diagnosis, finding)

        def take(found: Any) -> None:
            if isinstance(found, Diagnosis):
                now = found.report.get(finding.id)
                was = f"{finding.title}: {finding.verdict} → {now.verdict if now else 'gone'}"
                self.said = (f"With the remedy: {was}. {found.report.summary}", "good")

        self._start("Trying a remedy", steps, take)
        self._job.handlers = replace(self._job.handlers, done=self._tried(take))  # type: ignore[union-attr]

    def _tried(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def done(diagnosis: Diagnosis) -> None:
            self._job = None
            take(diagnosis)
            self._tell()

        return done

    # ------------------------------------------------------------ what changes meanwhile

    def _other_run(self, _run: Any) -> None:
        self._applied, self._pictured = None, ("", (0, 0, 0, 0))
        self.why.findings, self.why.diagnosis, self.why.asked = (), None, None
        if not self.about_files:  # a question about files is another matter
            self._stop()
            self.said = ("", "")
        self._tell()

    def _other_labels(self, _value: Any = None) -> None:
        """Let what was found hold again once the very nuclei are back that were asked about."""
        asked: Asked | None = self.why.asked
        study = self.work.study
        if self.about_files or asked is None or study.labels is None:
            return
        if asked.ticket == study.ticket:
            return
        truth = None if study.truth is None else study.truth.labels
        same = study.labels is asked.labels or np.array_equal(study.labels, asked.labels)
        if same and truth is asked.truth and not self.busy:
            self.why.asked = replace(asked, ticket=study.ticket)
        elif self._applied is None and not self.why.can_undo:
            self.said = ("", "") if not self.busy else self.said
        self._tell()

    def save(self, path: str) -> None:
        """Write the report as a page; a file of that name is replaced."""
        from ..app.diagnose_page import write_html  # noqa: PLC0415 - on first use

        if self.finished is None:
            raise InputError("There is no finished diagnosis to save.")
        target = Path(path)
        write_html(target if target.suffix else target.with_suffix(".html"), self.finished)

    def _tell(self) -> None:
        self._told = time.monotonic()
        self.changed.emit(self)


def arrowed(words: str) -> str:
    """Write "12 -> 31 nuclei" for a window."""
    return words.replace("->", "→")


def asking_for(work: Workspace) -> Asking:
    """Return what asks for a workspace; it outlives the dock."""
    found = work.forms["why"].get("asking")
    if not isinstance(found, Asking):
        found = work.forms["why"]["asking"] = Asking(work)
    return found
