"""The tab "Segment": where and how to run; then, live, what is nucleus and what is apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDialog, QFileDialog, QWidget

from ...app.jobs import Steps
from ...app.session import Options, Run
from ...core.params import InferenceParams
from ...core.separation.tuning import (
    TuneParams,
    tunable,
    tunables_for,
    value_of,
    with_value,
)
from ...core.types import Progress
from ...errors import InputError
from ..forms import Form, Number, SliderRow, rows_of
from ..jobs import Handlers, Latest, bind
from ..kit import (
    Combo,
    Elided,
    Fold,
    button,
    column,
    named,
    note,
    plain,
    row,
    scrolling,
    set_note,
    silent,
    take_away,
    tool,
)
from ..workspace import Workspace
from .card import TypesRow
from .several import SeveralMenu

if TYPE_CHECKING:
    from ...app.tuning import Tuned
    from ...core.inference.devices import DeviceInfo

AUTO = "auto"
REGIONS = (
    ("layer", "Whole image", "All of the layer."),
    ("view", "What is in view", "What the canvas shows of the image."),
    ("shapes", "Drawn rectangle", "The box around the shapes of the topmost Shapes layer (only "
     "the selected ones, if any)."),
)  # fmt: skip
SEPARATIONS = (
    ("local", "local (default)", "Does not depend on what else is in the image."),
    ("hover_net", "hover_net (as published)", "Repeats the published post-processing."),
)
WORDS = {
    "tiling": {"large": "large tiles (quick)", "reference": "hover_net's own tiles"},
    "precision": {"auto": "automatic"},
    "streamed": {"auto": "automatic"},
    "views": {1: "1", 2: "2 (careful)", 8: "8 (slow)"},
}
SPLIT = {"local": "depth", "hover_net": "energy_threshold", "magnitude_peaks": "peak_distance"}
"""The number of each method that splits more where it is small."""
SAVE_FILTER = ";;".join(
    ("QuPath GeoJSON (*.geojson)", "Label TIFF (*.tif)", "CSV of features (*.csv)",
     "hover_net JSON (*.json)", "hover_net MAT (*.mat)")
)  # fmt: skip
PARAMS_FILTER = "Separation parameters (*.json)"


class SegmentTab(QWidget):
    """Choose where to run; afterwards move sliders and see other nuclei at once."""

    title = "Segment"

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        self.session, self.tuning = work.session, work.tuning
        self._saving = Latest(work.runner, "Saving")
        self._dialog: ParamsDialog | None = None
        self.where = RunOptions(work)
        self.live = LiveSliders(work)
        self.runs = RunBox(work)
        self.save = button("Save nuclei ...", "Save what is on screen: GeoJSON, TIFF, CSV, JSON, "
                           "MAT.", self._save)  # fmt: skip
        self.several = button("Several images", "Segment all selected layers, a folder, or all of "
                              "a slide.")  # fmt: skip
        self.menu = SeveralMenu(work, self)
        self.several.setMenu(self.menu)
        self.live.all.clicked.connect(lambda _=False: self.open_params())
        layout = column(self)
        for widget in (self.where, self.live, self.runs, row(self.save, self.several)):
            layout.addWidget(widget)
        layout.addStretch(1)
        bind(self, work.study.run_changed, self._show)
        self._show()

    def shown(self) -> None:
        """Nothing to take up: state is shown as it changes."""

    def left(self) -> None:
        """Nothing to take away."""

    def _show(self, *_: Any) -> None:
        there = self.work.study.run is not None
        self.live.setVisible(there)
        self.save.setVisible(there)

    def open_params(self) -> None:
        """Open the window with all parameters of the separation; the viewer goes on beside it."""
        if self._dialog is None:
            self._dialog = ParamsDialog(self.work, self)
        self._dialog.show()
        self._dialog.raise_()

    # ------------------------------------------------------------ save

    def _save(self) -> None:
        run = self.work.study.run
        name = "" if run is None else f"{run.image.name}.geojson"
        path, chosen = QFileDialog.getSaveFileName(self, "Save nuclei", name, SAVE_FILTER)
        if path:
            self.save_to(path, chosen)

    def save_to(self, path: str, chosen: str = "") -> None:
        """Write what is on screen; the kind by the name's ending, or by what was chosen."""
        target = Path(path)
        if not target.suffix and "*" in chosen:
            target = target.with_suffix(chosen.split("*")[1].rstrip(")"))
        run, work = self.work.study.run, self.work

        def steps() -> Steps[Path]:
            yield Progress(0, 0, "Saving ...")
            write_one(work, target, "" if run is None else run.image.name)
            return target

        def done(saved: Path) -> None:
            work.say(f"Saved {saved.name}.", "good")

        self._saving.request(steps, Handlers(done, lambda error: work.say(str(error), "bad")))


class RunOptions(QWidget):
    """Region, resolution where it matters, and what seldom needs a change under a fold."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.session = work, work.session
        self.region = Combo("Region", "The part of the image to segment.", REGIONS)
        self.draw = button("Draw", "Drag a rectangle over the image.", work.draw_region)
        (mpp,) = rows_of(InferenceParams, "image_mpp")
        self.mpp = Number(replace(mpp, none="not known", unit="µm/px", span=(0.05, 20)))
        named(self.mpp, "Resolution of the image", "Micrometres per pixel: about 0.25 for a 40x "
              "scan, 0.5 for 20x; the lowest value = not known.")  # fmt: skip
        self.mpp_note = note(name="Resolution remark")
        self.mpp_box = QWidget()
        inner = column(self.mpp_box, 0)
        inner.setSpacing(2)
        inner.addWidget(row(plain("Resolution"), self.mpp, stretch=1))
        inner.addWidget(self.mpp_note)
        self.device = Combo("Device", "Where the network runs.", [(AUTO, "automatic", "")])
        self.device_note = Elided("")
        self.separation = Combo("Separation", "How touching nuclei are taken apart.", SEPARATIONS)
        rows = rows_of(InferenceParams, "views", "tiling", "tile", "batch", "precision", "streamed")
        self.form = Form(rows, self.session.options.inference, WORDS)
        self.types = TypesRow(work)
        rows = (("Device", self.device), ("", self.device_note), ("Separation", self.separation),
                ("Types", self.types))  # fmt: skip
        for at, (title, widget) in enumerate(rows):
            self.form.form.insertRow(at, title, widget)
        opened = bool(work.forms["segment"].get("more"))
        self.fold = Fold("More", self.form, "Device, separation, tiles, precision.", opened=opened)
        layout = column(self, 0)
        layout.addWidget(row(plain("Region"), self.region, self.draw, stretch=1))
        layout.addWidget(self.mpp_box)
        layout.addWidget(self.fold)
        self._connect()

    def _connect(self) -> None:
        session = self.session
        self.region.picked.connect(lambda region: self._set(region=region))
        self.device.picked.connect(lambda device: self._set(device=device))
        self.separation.picked.connect(lambda preset: self._set(separation=preset))
        self.form.valueChanged.connect(lambda value: self._set(inference=value))
        self.mpp.valueChanged.connect(self._mpp_edited)
        self.fold.toggled.connect(lambda on: self.work.forms["segment"].update(more=on))
        bind(self, session.options_changed, self._show)
        bind(self, session.image_changed, self._show)
        bind(self, session.model_changed, self._show)
        bind(self, self.work.devices_changed, self._show_devices)
        self._show_devices(self.work.devices)
        self._show()

    def _set(self, **changes: Any) -> None:
        self.session.set_options(replace(self.session.options, **changes))

    def _mpp_edited(self, value: float) -> None:
        mpp = None if value <= self.mpp.minimum() else value
        self._set(inference=replace(self.session.options.inference, image_mpp=mpp))

    def _show(self, *_: Any) -> None:
        options: Options = self.session.options
        self.region.setValue(options.region)
        self.device.setValue(options.device)
        self.separation.setValue(options.separation)
        self.form.setValue(options.inference)
        mpp = options.inference.image_mpp
        with silent(self.mpp):
            self.mpp.setValue(self.mpp.minimum() if mpp is None else mpp)
        remark = mpp_remark(self.work)
        self.mpp_box.setVisible(bool(remark))
        set_note(self.mpp_note, remark)

    def _show_devices(self, devices: Sequence[DeviceInfo]) -> None:
        usable = [d for d in devices if d.available]
        gpus = [d for d in usable if d.name != "cpu"]
        best = (gpus or usable)[0].label.split(",")[0] if usable else ""
        first = (AUTO, f"automatic ({best})" if best else "automatic", "A GPU if there is one.")
        self.device.fill([first, *((d.name, d.label, d.label) for d in usable)])
        self.device.setValue(self.session.options.device)
        reasons = [str(d.reason) for d in devices if not d.available and d.reason]
        why = "; ".join(dict.fromkeys(reasons)) or "none was found"
        self.device_note.setText("" if gpus or not devices else f"No GPU: {why}")


def mpp_remark(work: Workspace) -> str:
    """Say what the resolution means for the run; "" where it does not matter."""
    image, info = work.session.image, work.session.model.info
    inference = work.session.options.inference
    mpp, model = inference.image_mpp, inference.model_mpp or (info.mpp if info else None)
    if image is None or image.error or model is None:
        return ""
    if mpp is None:
        return f"Not known; the model was trained at {model:g}. Type it if the image differs."
    factor = mpp / model
    if abs(factor - 1) <= inference.mpp_tolerance:
        return ""
    what = "enlarged" if factor > 1 else "reduced"
    return f"The image is {what} {factor:.2f}x to the model's {model:g} µm/px."


class LiveSliders(QWidget):
    """The three numbers that matter most, and the way to all others."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.tuning = work, work.tuning
        self.rows: dict[str, SliderRow] = {}
        self.box = QWidget()
        self.lines = column(self.box, 0)
        self.blocked = note(name="Why the sliders are off")
        self.drop = button("Drop corrections", "Show the nuclei of these parameters again.",
                           work.live.drop_corrections)  # fmt: skip
        self.undo = button("Undo", "Take the last change back. (Ctrl+Z)", work.undo)
        self.redo = button("Redo", "Make it again. (Ctrl+Shift+Z)", work.redo)
        self.reset = tool("Reset", "Reset", "Back to how the run was cut.", self.tuning.reset)
        self.all = button("All parameters ...", "Everything nuclei are cut with; load, save, "
                          "keep as a run.")  # fmt: skip
        self._method = ""
        layout = column(self, 0)
        for widget in (self.box, self.blocked, self.drop):
            layout.addWidget(widget)
        layout.addWidget(row(self.undo, self.redo, self.reset))
        layout.addWidget(row(self.all))
        bind(self, self.tuning.params_changed, self._show)
        bind(self, work.study.labels_changed, self._show)
        bind(self, work.study.run_changed, self._show)
        bind(self, work.session.runs_changed, self._show)
        self._show()

    def _build(self, method: str) -> None:
        """Make the sliders of a method; the split is another number in each."""
        self._method = method
        for old in self.rows.values():
            take_away(old)
        self.rows = {
            "np_threshold": SliderRow(tunable("np_threshold"), "Probability"),
            SPLIT[method]: SliderRow(tunable(SPLIT[method]), "Split", ("more", "less")),
            "min_area": SliderRow(tunable("min_area"), "Smallest (px)"),
        }
        for name, line in self.rows.items():
            self.lines.addWidget(line)
            line.valueChanged.connect(lambda value, name=name: self._edit(name, value))

    def _edit(self, name: str, value: float) -> None:
        self.tuning.edit(with_value(self.tuning.params, name, value), name)

    def _show(self, *_: Any) -> None:
        params, work = self.tuning.params, self.work
        method = params.separation.method
        if method != self._method:
            self._build(method)
        for name, line in self.rows.items():
            line.set_default(value_of(self.tuning.start, name))
            line.setValue(value_of(params, name))
        blocked = work.tuning_blocked() if work.study.run is not None else ""
        shown = work.study.instances
        self.box.setEnabled(not blocked)
        set_note(self.blocked, blocked)
        self.drop.setVisible(bool(blocked) and shown is not None and shown.corrected)
        self.undo.setEnabled(work.can_undo)
        self.redo.setEnabled(work.can_redo)
        self.reset.setEnabled(params != self.tuning.start and not blocked)


class RunBox(QWidget):
    """Which run is on screen, where there are several; the others are hidden."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        self.combo = Combo("Run on screen", "The run you look at; the others are hidden.")
        self.remove = tool("✕", "Remove this run", "Remove the run; undo brings it back.",
                           self._remove)  # fmt: skip
        layout = column(self, 0)
        layout.addWidget(row(plain("Run"), self.combo, self.remove, stretch=1))
        self.combo.picked.connect(work.choose_run)
        bind(self, work.session.runs_changed, self._show)
        bind(self, work.study.run_changed, self._show)
        self._show()

    def _remove(self) -> None:
        self.work.session.remove_run(self.combo.value())

    def _show(self, *_: Any) -> None:
        runs = self.work.session.runs
        self.setVisible(len(runs) > 1)
        entries = [(r.id, f"{r.title} · {r.result.n:,} nuclei", r.image.name) for r in runs]
        self.combo.fill(entries[::-1])
        run = self.work.study.run
        self.combo.setValue(0 if run is None else run.id)


class ParamsDialog(QDialog):
    """All numbers nuclei are cut with, live; in files; and kept as a run of its own."""

    def __init__(self, work: Workspace, parent: QWidget) -> None:
        super().__init__(parent)
        self.work, self.tuning = work, work.tuning
        self._keeping = Latest(work.runner, "Keeping")
        self._method = ""
        self.rows: dict[str, SliderRow] = {}
        self.setWindowTitle("All parameters")
        self.resize(420, 520)
        self.preset = Combo("Separation", "How touching nuclei are taken apart.", SEPARATIONS)
        self.body = QWidget()
        self.lines = column(self.body)
        self.lines.addStretch(1)
        layout = column(self)
        layout.addWidget(row(plain("Separation"), self.preset, stretch=1))
        layout.addWidget(scrolling(self.body), 1)
        layout.addWidget(row(
            button("Load ...", "Read parameters from a file.", self._load),
            button("Save ...", "Write them to a file (JSON); the command line takes it with "
                   "--params.", self._save),
            button("Keep as a run", "Make a run of its own of these nuclei, to compare it.",
                   self.keep),
        ))  # fmt: skip
        self.preset.picked.connect(self.tuning.choose_preset)
        bind(self, self.tuning.params_changed, self._show)
        self._show()

    def _build(self, method: str) -> None:
        self._method = method
        for old in self.rows.values():
            take_away(old)
        known = (t for t in tunables_for(method) if not t.name.startswith("hv."))
        self.rows = {t.name: SliderRow(t) for t in known}
        for at, (name, line) in enumerate(self.rows.items()):
            self.lines.insertWidget(at, line)
            line.valueChanged.connect(lambda value, name=name: self._edit(name, value))

    def _edit(self, name: str, value: float) -> None:
        self.tuning.edit(with_value(self.tuning.params, name, value), name)

    def _show(self, *_: Any) -> None:
        params: TuneParams = self.tuning.params
        method = params.separation.method
        if method != self._method:
            self._build(method)
        self.preset.setValue(method)
        defaults = self.tuning.defaults(method)
        for name, line in self.rows.items():
            line.set_default(value_of(defaults, name))
            line.setValue(value_of(params, name))
        self.body.setEnabled(not self.work.tuning_blocked())

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load parameters", "", PARAMS_FILTER)
        if path:
            self.work.attempt(lambda: self.load_from(path))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save parameters", "", PARAMS_FILTER)
        if path:
            self.work.attempt(lambda: self.save_to(path))

    def load_from(self, path: str) -> None:
        """Take parameters from a file; they are in pixels of whatever they were saved for."""
        from ...core.io.files import read_params  # noqa: PLC0415 - on first use

        self.tuning.edit(read_params(path))
        self.work.say(f"Parameters of {Path(path).name}.")

    def save_to(self, path: str) -> None:
        """Write the present parameters to a file; the ending is added where there is none."""
        from ...core.io.files import write_params  # noqa: PLC0415 - on first use

        target = Path(path)
        if not target.suffix:
            target = target.with_suffix(".json")
            if target.exists():  # the dialog has not asked about this name
                raise InputError(f"{target.name} is there already: choose it to replace it.")
        write_params(target, self.tuning.params)
        self.work.say(f"Saved as {target.name}.", "good")

    def keep(self) -> None:
        """Make a run of its own of what is on screen, once the whole of it is separated."""
        run, work = self.work.study.run, self.work
        if run is None or run.result.maps is None:
            work.say("There is no run to keep: segment an image first.", "bad")
            return
        params = self.tuning.params
        title = unused_title(f"{run.title} tuned", [r.title for r in work.session.runs])

        def steps() -> Steps[Run]:
            return kept_steps(run, params, title)

        def done(kept: Run) -> None:
            work.session.add_run(replace(kept, id=work.free_number()),
                                 f"Kept as {kept.title}.")  # fmt: skip

        self._keeping.request(steps, Handlers(done, lambda error: work.say(str(error), "bad")))


# ---------------------------------------------------------------- without Qt


def unused_title(title: str, taken: Sequence[str]) -> str:
    """Return the title, with a number if it is taken."""
    number, found = 1, title
    while found in taken:
        number += 1
        found = f"{title} {number}"
    return found


def kept_steps(run: Run, params: TuneParams, title: str) -> Steps[Run]:
    """Cut the whole of a run with other parameters, and make a run of its own of it."""
    from ...app.segment import run_metadata  # noqa: PLC0415 - imports torch
    from ...app.tuning import kept_steps as result_steps  # noqa: PLC0415
    from ...app.tuning import tune_steps  # noqa: PLC0415
    from ...core.io.files import params_as_dict  # noqa: PLC0415
    from ...core.separation.tuning import StagedTuner  # noqa: PLC0415

    if run.result.maps is None:
        raise InputError(f"{run.title} kept no maps: run the model again.")
    tuned: Tuned = yield from tune_steps(StagedTuner(run.result.maps), params)
    result = yield from result_steps(run.result, tuned)
    about = {
        **run_metadata(result),
        **{k: run.metadata[k] for k in ("image", "device") if k in run.metadata},
        "tuned": {"from": run.title, **params_as_dict(params)},
    }
    return Run(0, title, run.image, result, run.placement, about)


def write_one(work: Workspace, target: Path, image_name: str) -> None:
    """Write what is on screen to one file, its kind by the ending."""
    from ...app.segment import about  # noqa: PLC0415 - on first use
    from ...core.io import FORMATS  # noqa: PLC0415
    from ...core.io.files import staged  # noqa: PLC0415

    kinds = {suffix: kind for kind in FORMATS.values() for suffix in kind.suffixes}
    kind = kinds.get(target.suffix.lower())
    if kind is None:
        raise InputError(f"{target.name}: choose an ending of {', '.join(kinds)}.")
    result = work.result_now()
    with staged(target.parent, [target.name]) as staging:
        kind.write(staging / target.name, result, about(result, image_name))
