"""Ask why nuclei are as they are: open files, run the checks, apply a remedy and take it back.

Files go in by :func:`open_steps`, what is on screen by :class:`Why`; both end in
:func:`diagnosis_steps`. Whatever is called ``*_steps`` may run in a worker thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from psygnal import Signal

from ..core.data.items import Dataset, dataset_of_arrays
from ..core.data.load import open_dataset
from ..core.data.stores import MAPS, TARGETS
from ..core.diagnosis.bench import Bench, DiagnosisParams
from ..core.diagnosis.case import Case, Predictor, Separator, Setup
from ..core.diagnosis.engine import Found, diagnose_steps, kind_of, rank, report_of
from ..core.diagnosis.report import DiagnosisReport, Finding
from ..core.hv import HVConvention, HVReading
from ..core.io.files import load_json, read_params
from ..core.params import InferenceParams
from ..core.separation.tuning import TuneParams
from ..core.types import Int32, Maps, Model, Progress
from ..core.weights import BUILT_IN, offered
from ..errors import CheckpointError, InputError
from .jobs import OneThread, relayed
from .study import InstanceImage, Study, TruthChoice

# --- files -----------------------------------------------------------------------------

AUGMENTATIONS = ("ours", "story", "none")
"""Augmentations that have a name."""
DEFAULT_LOSS = "default"


@dataclass(frozen=True)
class DiagnoseChoice:
    """What a user chooses: paths and names only; "" = none."""

    model: str = ""  # A built-in model or a checkpoint file
    data: str = ""  # See :func:`.core.data.load.open_dataset`
    separation: str = ""  # A preset's name, or a file of the tuner
    family: str = ""  # Organ family of the token decoder, "" = all
    split: str | None = None  # Only this one; the others are looked through for leaks
    n_samples: int = 20  # Images that go through the network
    augmentation: str = ""  # A name of AUGMENTATIONS, or the folder of a training run
    loss: str = ""  # "default", the folder of a training run, or a JSON file of loss parameters
    device: str = "auto"
    convention: str = ""  # What HV claims to be, a preset of HVConvention; "" = [H, V] outward

    @property
    def params(self) -> DiagnosisParams:
        """How much is looked at."""
        if self.n_samples < 1:
            raise InputError(f"The number of samples is {self.n_samples}; give 1 or more.")
        plain = DiagnosisParams()
        return replace(plain, n_maps=self.n_samples, n_items=max(plain.n_items, self.n_samples))


@dataclass(frozen=True)
class Own:
    """A user's own code in place of something with a name; see ``core.diagnosis.case``."""

    model: Any = None
    separation: Any = None
    augmentation: Any = None
    loss: Any = None


def open_steps(choice: DiagnoseChoice, own: Own | None = None) -> Generator[Progress, None, Case]:
    """Open what a user chose; images are read later. A refused checkpoint is for a check to say."""
    mine = own or Own()
    names = ("model", "separation", "augmentation", "loss")
    if not choice.data and not any(getattr(choice, n) or getattr(mine, n) is not None
                                   for n in names):  # fmt: skip
        raise InputError(
            "There is nothing to diagnose; give a model, data, a separation, a loss or an "
            "augmentation."
        )
    yield Progress(0, 0, "looking at the data")
    data, held_out, notes = _data(choice)
    yield Progress(0, 0, "loading the model")
    predictor, refused = _predictor(choice, mine)
    kind = _kind(data, with_model=bool(predictor or refused))
    model = None if predictor is None else predictor.model
    known = 0 if model is None else len(model.info.types)
    return Case(
        items=data, held_out=held_out, kind=kind, predictor=predictor, model_error=refused,
        separator=Separator.of(_named(mine.separation, choice.separation, _separation)),
        loss=_named(mine.loss, choice.loss, _loss),
        augmentation=_named(mine.augmentation, choice.augmentation, _augmentation),
        n_types=known or (None if data is None else data.n_types),
        setup=_setup(choice.convention, kind), notes=notes,
    )  # fmt: skip


def _named(own: Any, name: str, read: Callable[[str], Any]) -> Any:
    return own if own is not None else read(name) if name else None


def _data(choice: DiagnoseChoice) -> tuple[Dataset | None, Dataset | None, tuple[str, ...]]:
    """List the items, and those of the other splits where one was asked for."""
    if not choice.data:
        return None, None, ()
    data, others = open_dataset(Path(choice.data), choice.family, choice.split), None
    if data.pairs:
        items = sorted(data, key=lambda item: str(item.pair and item.pair.image))
        data = replace(data, items=tuple(items))
    if choice.split is not None:
        data, others = data.divided(choice.split)
    notes = [*data.notes]
    if data.pairs and data.unpaired:
        notes.append(f"{len(data.unpaired)} of {len(data)} images have no labels.")
    return data, others if others and "image" in others.has else None, tuple(notes)


def _predictor(choice: DiagnoseChoice, own: Own) -> tuple[Predictor | None, str]:
    """Load the model; returns also why it is refused, "" if it is not."""
    from ..core.checkpoint import load_model  # noqa: PLC0415 - torch on first use

    if own.model is not None:
        return Predictor.of(own.model), ""
    if not choice.model:
        return None, ""
    if choice.model not in BUILT_IN and not Path(choice.model).is_file():
        names = " or ".join(map(repr, offered()))
        raise InputError(f"{choice.model} is not there; give {names}, or a checkpoint file.")
    try:
        return Predictor.of(load_model(choice.model, choice.device)), ""
    except CheckpointError as error:
        return None, str(error)


def _separation(name: str) -> Any:
    return read_params(name) if Path(name).suffix.lower() == ".json" else name


def _loss(name: str) -> Any:
    from ..core.params import LossParams, config_from_dict  # noqa: PLC0415 - on use
    from ..core.training.files import RunFolder  # noqa: PLC0415

    path = Path(name)
    if name == DEFAULT_LOSS:
        return LossParams()
    if path.is_dir():
        return RunFolder(path).read_config().loss
    if not path.is_file():
        raise InputError(
            f"loss is {name!r}; give {DEFAULT_LOSS!r}, the folder of a training run, or a JSON "
            "file of loss parameters."
        )
    values = load_json(path)
    whole = values if isinstance(values, dict) and "loss" in values else {"loss": values}
    return config_from_dict(whole, str(path)).loss


def _augmentation(name: str) -> Any:
    from ..core.training.files import RunFolder  # noqa: PLC0415 - on first use

    if name in AUGMENTATIONS:
        return name
    if Path(name).is_dir():
        RunFolder(Path(name)).read_config()
        return AUGMENTATIONS[0]
    raise InputError(
        f"augmentation is {name!r}; choose {', '.join(AUGMENTATIONS)}, or give the folder of a "
        "training run."
    )


def _kind(data: Dataset | None, *, with_model: bool) -> str:
    """Tell predicted maps from stored targets."""
    if data is None or not {"np", "hv"} & data.has:
        return MAPS
    if data.kind:
        return data.kind
    given = {"hv": []} if "np" not in data.has else data[0].read("np")
    return kind_of("auto", {name: [value] for name, value in given.items()}, with_model)[0]


def _setup(convention: str, kind: str) -> Setup:
    named = HVConvention.preset(convention) if convention else HVConvention()
    if kind == TARGETS:
        return Setup(target_order=named.order, target_sign=named.sign)
    return Setup(hv_order=named.order, hv_sign=named.sign)


# --- running ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A diagnosis and what it was made of."""

    case: Case
    bench: Bench  # Holds what was read, predicted and cut
    report: DiagnosisReport


@dataclass(frozen=True, eq=False)
class Retest:
    """A diagnosis before and after the remedies of some findings were applied."""

    before: Diagnosis
    after: Diagnosis
    applied: tuple[str, ...]

    @property
    def changes(self) -> tuple[tuple[Finding, Finding], ...]:
        """Findings before and after, where the verdict is another one."""
        pairs = [(f, self.after.report.get(f.id)) for f in self.before.report.findings]
        return tuple((a, b) for a, b in pairs if b is not None and a.verdict != b.verdict)


def diagnosis_steps(
    case: Case, params: DiagnosisParams | None = None, bench: Bench | None = None
) -> Generator[Progress, None, Diagnosis]:
    """Run all checks; after each one a :class:`.engine.Found` has all findings by then."""
    used = bench or Bench(case, params)
    report = yield from diagnose_steps(used)
    return Diagnosis(case, used, report)


def retest_steps(diagnosis: Diagnosis, *findings: Finding) -> Generator[Progress, None, Diagnosis]:
    """Apply remedies and make the checks again that found something; the others are kept."""
    setup, began = diagnosis.case.setup, time.perf_counter()
    for finding in findings:
        setup = setup.applied(finding.remedy)
    again = {f.id for f in diagnosis.report.findings if f.wrong} | {f.id for f in findings}
    kept = [f for f in diagnosis.report.findings if f.id not in again]
    bench = diagnosis.bench.again(setup)

    def with_kept(step: Progress) -> Progress:
        if not isinstance(step, Found):
            return step
        return replace(step, findings=rank([*kept, *step.findings]))

    made = yield from relayed(diagnose_steps(bench, frozenset(again)), with_kept)
    report = report_of(bench, [*kept, *made.findings], time.perf_counter() - began)
    return Diagnosis(bench.case, bench, report)


def unfinished(bench: Bench, findings: Sequence[Finding]) -> Diagnosis:
    """Make a diagnosis of what was found before a cancel."""
    report = replace(report_of(bench, list(findings), 0.0), complete=False)
    return Diagnosis(bench.case, bench, report)


# --- what is on screen -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Asked:
    """What was on screen when it was asked why."""

    ticket: int
    maps: Maps
    labels: Int32
    truth: Int32 | None
    cut_with: TuneParams
    image: Any = None  # (H, W, 3), of the run's region; None = there is none
    model: Model | Callable[[], Model] | None = None  # Asked for what-ifs; loaded by the worker
    inference: InferenceParams | None = None
    name: str = "run"


@dataclass(frozen=True, eq=False)
class Applied:
    """What a remedy makes of the nuclei on screen."""

    asked_of: Asked
    id: str  # Of the finding
    setup: Setup
    labels: Int32
    maps: Maps  # They were cut of; HV as the setup reads it
    truth: Int32 | None  # As the remedy moves it; None = it stays
    tune: TuneParams  # Reading and separation that make these labels of the run's maps
    words: str  # "12 -> 31 nuclei, AJI 0.42 -> 0.71"


def why_steps(asked: Asked) -> Generator[Progress, None, Diagnosis]:
    """Diagnose what is on screen."""
    yield Progress(0, 0, "Looking at what is there ...")
    case = case_of(asked, None)
    if asked.image is not None and asked.model is not None:
        yield Progress(0, 0, "Loading the model ...")
        try:
            model = asked.model() if callable(asked.model) else asked.model
        except CheckpointError as error:
            case = replace(case, notes=(f"What the network does otherwise was not tried: {error}",))
        else:
            case = case_of(asked, model)
    return (yield from diagnosis_steps(case))


def case_of(asked: Asked, model: Model | None) -> Case:
    """Make a case of what is on screen; the image has its maps already."""
    parts = {"image": asked.image, "labels": asked.truth, "np": asked.maps.np, "hv": asked.maps.hv,
             "instances": asked.labels}  # fmt: skip
    given = {name: [part] for name, part in parts.items() if part is not None}
    how = asked.cut_with.hv
    return Case(
        items=dataset_of_arrays([asked.name], **given),
        kind=MAPS,
        predictor=None if model is None else _remembering(model, asked),
        separator=Separator.of(asked.cut_with.separation),
        n_types=None if model is None else len(model.info.types) or None,
        setup=Setup(hv_order=how.order, hv_sign=how.sign, hv_scale=how.scale),
    )


def _remembering(model: Model, asked: Asked) -> Predictor:
    """Make a predictor that has the maps of the image on screen already."""
    plain, known = Predictor.of(model, asked.inference), np.asarray(asked.image)

    def call(given: Any, *more: Any) -> Maps:
        return asked.maps if np.array_equal(given, known) else plain.call(given, *more)

    return replace(plain, call=call)


def apply_steps(
    asked: Asked, diagnosis: Diagnosis, finding: Finding
) -> Generator[Progress, None, Applied]:
    """Cut the nuclei on screen as they would be with a remedy; nothing changes yet."""
    yield Progress(0, 2, "Applying the remedy ...")
    setup = diagnosis.case.setup.applied(finding.remedy)
    bench = diagnosis.bench.again(setup)
    maps, cut, item = bench.maps(0), bench.instances(0), bench.item(0)
    if maps is None or cut is None or item is None:
        raise InputError(f"The remedy cannot be applied: {bench.failures.get(0, 'no maps came')}")
    yield Progress(1, 2, "Counting ...")
    truth = item.labels if finding.remedy.action.startswith("labels_") else None
    params = bench.separator.params or asked.cut_with.separation
    reading = HVReading(setup.hv_order, setup.hv_sign, setup.hv_scale)
    before, after = diagnosis.bench.score((0,)), bench.score((0,))
    words = f"{_counted(asked.labels):,} -> {_counted(cut):,} nuclei"
    words += f", AJI {before:.2f} -> {after:.2f}" if math.isfinite(before + after) else ""
    return Applied(asked, finding.id, setup, asked.labels if truth is not None else cut, maps,
                   truth, TuneParams(params, reading), words)  # fmt: skip


def _counted(labels: Int32) -> int:
    """Count nuclei; ids need not be in a row."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))


class Why(OneThread):
    """Asks why the nuclei of a study are as they are, and changes them by a remedy."""

    changed: ClassVar[Signal] = Signal(object)

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study
        self.asked: Asked | None = None
        self.diagnosis: Diagnosis | None = None  # None until it is finished
        self.findings: tuple[Finding, ...] = ()  # By now, causes first
        self._undo: list[tuple[InstanceImage, TruthChoice | None, int, str]] = []

    @property
    def blocked(self) -> str:
        """Why nothing can be asked, "" if it can."""
        if self.study.run is None or self.study.instances is None:
            return "There are no nuclei yet: run first."
        return "" if self.study.run.result.maps is not None else "This run kept no maps: run again."

    def ask(self, image: Any, model: Model | Callable[[], Model] | None = None) -> Asked:
        """Take what is on screen now, for :func:`why_steps`."""
        self._on_main_thread()
        run, instances = self.study.run, self.study.instances
        truth = None if self.study.truth is None else self.study.truth.labels
        if self.blocked or run is None or instances is None or run.result.maps is None:
            raise InputError(self.blocked)
        how = instances.params or TuneParams(run.result.cut_with)
        self.asked = Asked(
            self.study.ticket, run.result.maps, instances.labels, truth, how,
            image, model, run.result.params.inference, run.title,
        )  # fmt: skip
        self.diagnosis, self.findings = None, ()
        self.changed.emit(self)
        return self.asked

    def take(self, asked: Asked, found: Diagnosis | Sequence[Finding]) -> bool:
        """Take in findings (or the diagnosis), unless something else is on screen by now."""
        self._on_main_thread()
        if asked is not self.asked or asked.ticket != self.study.ticket:
            return False
        self.diagnosis = found if isinstance(found, Diagnosis) else None
        self.findings = found.report.findings if isinstance(found, Diagnosis) else tuple(found)
        self.changed.emit(self)
        return True

    def cannot_apply(self, finding: Finding) -> str:
        """Why its remedy cannot be applied here, "" if it can."""
        if not finding.remedy.action:
            return "This has to be done outside of the program."
        if self.diagnosis is None or self.asked is None:
            return "The diagnosis has not ended yet."
        return "" if self.asked.ticket == self.study.ticket else "The nuclei are others by now."

    def put(self, applied: Applied) -> str:
        """Put the nuclei (or the truth) of a remedy on screen; returns what changed."""
        self._on_main_thread()
        instances, truth = self.study.instances, self.study.truth
        if instances is None or applied.asked_of.ticket != self.study.ticket:
            raise InputError("The nuclei are others by now; ask again.")
        if applied.truth is not None and truth is not None:
            self.study.choose_truth(replace(truth, labels=applied.truth))
        else:
            self.study.set_labels(applied.labels, corrected=False, params=applied.tune)
        self._undo.append((instances, truth, self.study.ticket, applied.words))
        self.changed.emit(self)
        return applied.words

    @property
    def can_undo(self) -> bool:
        """Whether the last remedy can be taken back: nothing else has changed since."""
        return bool(self._undo) and self._undo[-1][2] == self.study.ticket

    def undo(self) -> str:
        """Take the last remedy back; returns what was done, "" if nothing was."""
        self._on_main_thread()
        if not self.can_undo:
            return ""
        instances, truth, _, words = self._undo.pop()
        if truth is not self.study.truth:
            self.study.choose_truth(truth)
        else:
            self.study.set_labels(instances.labels, corrected=instances.corrected,
                                  params=instances.params)  # fmt: skip
        now = self.study.ticket
        self._undo[-1:] = [(*one[:2], now, one[3]) for one in self._undo[-1:]]
        if self.asked is not None and self.asked.labels is instances.labels and (
                truth is None or truth.labels is self.asked.truth):  # fmt: skip
            self.asked = replace(self.asked, ticket=now)  # what was found holds again
        self.changed.emit(self)
        return f"Taken back: {words}"
