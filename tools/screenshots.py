"""Pictures of the workbench in every state, to be looked at, and those of the documentation.

A real window, real runs, generated tissue and images that come with scikit-image only::

    xvfb-run -a -s "-screen 0 1366x768x24" python tools/screenshots.py --out /tmp/states

Without ``--out`` the pictures of the documentation are made anew in ``docs/images``. A state is a
function here that takes a :class:`Bench`; add one to have it in all sizes and themes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hovernet._napari.demo import open_sample, save_screenshot

if TYPE_CHECKING:
    import napari

DOCS = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZES = {"1366": (1366, 768), "1600": (1600, 1000)}
SETTLE_S = 0.6
TIMEOUT_S = 1200
State = Callable[["Bench"], None]
STATES: dict[str, State] = {}
"""States by name, in order: each starts where the one before has left the window."""
IN_DOCS = {
    "readme": "view-hv",
    "panel": "ran",
    "fine-tune": "train-done",
    "diagnose": "why-place",
    "diagnose-mended": "why-fixed",
}
"""Pictures of the documentation, and the states they show."""
WAY = (
    "first",
    "running",
    "ran",
    "view-hv",
    "tab-why",
    "why-asking",
    "why-found",
    "why-place",
    "why-fixed",
    "tab-train",
    "train-set-up",
    "train-settings",
    "train-running",
    "train-done",
)
"""States gone through for them."""
STRIP = {"why-place": ("blob", "why"), "why-fixed": ("fix", "apart")}
"""The strip of four pictures: in each of two states a part of the canvas and a part of the dock."""
STRIP_PX, GAP_PX = (300, 330), 8
"""Width and height of one of the four, and what lies between them."""


def state(function: State) -> State:
    """Register a state under its name."""
    STATES[function.__name__.replace("_", "-")] = function
    return function


def pump(until: Callable[[], Any], seconds: float = TIMEOUT_S) -> None:
    """Let Qt work until a condition holds; an error after ``seconds``."""
    from napari.qt import get_qapp  # noqa: PLC0415 - after --help

    app, end = get_qapp(), time.monotonic() + seconds
    while not until():
        app.processEvents()
        time.sleep(0.005)
        if time.monotonic() > end:
            raise TimeoutError(f"not done after {seconds:.0f} s")


def settle(seconds: float = SETTLE_S) -> None:
    """Let the canvas draw."""
    end = time.monotonic() + seconds
    pump(lambda: time.monotonic() > end)


@dataclass
class Bench:
    """A window with a sample and the dock."""

    viewer: napari.Viewer
    dock: Any

    @property
    def work(self) -> Any:
        """State and actions."""
        return self.dock.work

    def done(self) -> None:
        """Wait until nothing is on its way any more."""
        settle(0.1)
        pump(lambda: not self.work.busy)
        settle()

    def run(self) -> None:
        """Segment."""
        pump(lambda: not self.work.session.model.reading)
        self.dock.start()
        self.done()

    def look(self, view: str) -> None:
        """Switch the view."""
        self.dock.look(view)
        self.done()


def bench(sample: str, size: tuple[int, int], theme: str) -> Bench:
    """Open a window."""
    import napari  # noqa: PLC0415 - after --help

    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window._qt_window.resize(*size)
    viewer.window._qt_window.move(0, 0)
    if sample:
        open_sample(viewer, sample)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hovernet", "HoVer-Net")
    settle()
    return Bench(viewer, dock)


# ---------------------------------------------------------------- states of "Segment"


@state
def first(it: Bench) -> None:
    """Open the dock."""
    pump(lambda: not it.work.session.model.reading)
    settle()


@state
def more(it: Bench) -> None:
    """Open the fold; the resolution differs."""
    it.dock.pages[0].where.fold.head.setChecked(True)
    options = it.work.session.options
    halved = type(options.inference)(image_mpp=0.5)
    it.work.session.set_options(replace(options, inference=halved))
    settle()


@state
def running(it: Bench) -> None:
    """Start a run."""
    it.dock.pages[0].where.fold.head.setChecked(False)
    options = it.work.session.options
    known = type(options.inference)(image_mpp=0.25)
    it.work.session.set_options(replace(options, inference=known))
    it.dock.start()
    settle(0.3)


@state
def ran(it: Bench) -> None:
    """Wait for it."""
    it.done()


@state
def view_probability(it: Bench) -> None:
    """Look at NP."""
    it.look("probability")


@state
def view_hv(it: Bench) -> None:
    """Look at HV."""
    it.look("hv")


@state
def view_hv_near(it: Bench) -> None:
    """Fly near: arrows."""
    it.work.fly_to((300, 340, 300, 340))
    it.done()


@state
def view_magnitude(it: Bench) -> None:
    """Look at the magnitude."""
    it.viewer.reset_view()
    it.look("magnitude")


@state
def view_blobs(it: Bench) -> None:
    """Look at blobs."""
    it.look("blobs")


@state
def blob(it: Bench) -> None:
    """Cut as in the story."""
    it.work.tuning.choose_preset("merging_relabel")
    it.done()


@state
def apart(it: Bench) -> None:
    """Undo that."""
    it.work.undo()
    it.done()


@state
def coloured(it: Bench) -> None:
    """Colour nuclei by their probability."""
    it.work.session.set_colour_by("np_mean")
    it.done()


@state
def tuned(it: Bench) -> None:
    """Drop small nuclei."""
    it.look("image")
    it.dock.pages[0].live.rows["min_area"].box.setValue(300)
    it.done()


@state
def corrected(it: Bench) -> None:
    """Draw by hand: no tuning."""
    it.work.undo()
    it.done()
    it.work.layers.nuclei.fill((400, 400), 4000)
    it.done()


@state
def all_parameters(it: Bench) -> None:
    """Open the window with all parameters."""
    it.work.live.drop_corrections()
    it.dock.pages[0].open_params()
    it.done()


@state
def card(it: Bench) -> None:
    """Show what the model is."""
    it.dock.pages[0]._dialog.close()
    it.dock.card()
    settle()


# ---------------------------------------------------------------- states of "Check"


@state
def tab_check(it: Bench) -> None:
    """Go to "Check": nothing is wrong."""
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    popup = QApplication.activePopupWidget()
    if popup is not None:
        popup.close()
    it.look("image")
    it.dock.open_tab("check")
    it.done()


@state
def check_blobs(it: Bench) -> None:
    """Cut as in the story: blobs are listed and coloured."""
    it.dock.open_tab("segment")
    it.work.tuning.choose_preset("merging_relabel")
    it.done()
    it.dock.open_tab("check")
    it.done()


@state
def check_blob(it: Bench) -> None:
    """Fly to the first one and look at it near."""
    it.dock.pages[1].places.step(1)
    pump(lambda: it.dock.pages[1].nucleus.view is not None)
    it.done()


@state
def check_split(it: Bench) -> None:
    """Split it."""
    labels = it.work.study.labels
    it.dock.pages[1].correct.split.click()
    pump(lambda: it.work.study.labels is not labels)
    it.done()


@state
def check_brush(it: Bench) -> None:
    """Take the brush."""
    it.dock.pages[1].correct.new.click()
    it.done()


@state
def check_truth(it: Bench) -> None:
    """Choose a truth: outcomes."""
    page = it.dock.pages[1]
    page.correct.put_down()
    it.work.live.drop_corrections()
    it.done()
    page.truth.choose(page.truth.combo.itemData(1))
    pump(lambda: it.work.study.truth is not None)
    it.viewer.reset_view()
    it.done()


@state
def check_scores(it: Bench) -> None:
    """Open the scores, and outline what was not found."""
    page = it.dock.pages[1]
    page.truth.fold.head.setChecked(True)
    page.truth.outline.setChecked(True)
    it.done()


@state
def check_error(it: Bench) -> None:
    """Fly to an error."""
    page = it.dock.pages[1]
    page.truth.fold.head.setChecked(False)
    page.truth.outline.setChecked(False)
    page.places.kind.setValue("merged")
    page.places._kind_picked("merged")
    page.places.step(1)
    it.done()


@state
def check_wrong_truth(it: Bench) -> None:
    """Refuse a truth of another size."""
    import numpy as np  # noqa: PLC0415

    page = it.dock.pages[1]
    units = it.viewer.layers[0].units
    layer = it.viewer.add_labels(np.ones((5, 300), int), name="a sliver of labels", units=units)
    page.truth.choose(("layer", id(layer)))
    pump(lambda: it.work.study.truth.error)
    it.done()
    it.viewer.layers.remove(layer)


@state
def check_save(it: Bench) -> None:
    """Scroll down to training data and the other run."""
    from qtpy.QtWidgets import QScrollArea  # noqa: PLC0415

    page = it.dock.pages[1]
    page.truth.choose(None)
    it.work.undo()
    it.done()
    it.dock.open_tab("segment")
    it.dock.pages[0].open_params()
    it.dock.pages[0]._dialog.keep()
    it.dock.pages[0]._dialog.close()
    pump(lambda: len(it.work.session.runs) > 1)
    it.dock.open_tab("check")
    page.save.fold.head.setChecked(True)
    settle()
    area = it.dock.tabs.widget(1)
    assert isinstance(area, QScrollArea)
    area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    it.done()


@state
def check_two_runs(it: Bench) -> None:
    """Set two runs side by side."""
    it.dock.pages[1].compare.compare()
    pump(lambda: it.dock.pages[1].compare.window is not None)
    it.done()


@state
def check_near(it: Bench) -> None:
    """Look at a good nucleus."""
    page = it.dock.pages[1]
    page.compare.window.close()
    page.save.fold.head.setChecked(False)
    it.work.study.look_at(int(it.work.study.findings.nuclei.label[20]))
    pump(lambda: page.nucleus.view is not None)
    it.done()


@state
def tab_train(it: Bench) -> None:
    """Go to "Train"."""
    it.dock.open_tab("train")
    it.done()


@state
def train_set_up(it: Bench) -> None:
    """Choose data: four generated images."""
    from napari_hovernet.app.corrections import PairAbout, save_training_pair  # noqa: PLC0415
    from napari_hovernet.core.synthetic import TissueParams, tissue  # noqa: PLC0415

    folder = Path(os.environ["NAPARI_HOVERNET_RUNS"]).parent / "corrected slides of the summer"
    for at in range(4):
        made = tissue((192, 192), at, TissueParams(mpp=0.25))
        about = PairAbout(source=f"slide{at}", mpp=0.25)
        if not (folder / f"images/image{at}.png").exists():
            save_training_pair(folder, f"image{at}", made.image, made.labels, about)
    page = it.dock.pages[2]
    page.setup.add(str(folder))
    pump(lambda: page.training.check is not None)
    page.setup.fold.head.setChecked(True)
    settle()


@state
def train_settings(it: Bench) -> None:
    """Open all settings."""
    page = it.dock.pages[2]
    page.setup.fold.head.setChecked(False)
    page.setup.open_settings()
    settle()


@state
def train_running(it: Bench) -> None:
    """Start, and wait for the first epochs."""
    page = it.dock.pages[2]
    page.setup._dialog.close()
    config = page.training.config
    optim = replace(config.optim, epochs=4, batch=2, steps_per_epoch=3)
    data = replace(config.data, crop=64)
    page.training.edit(replace(config, optim=optim, data=data, name="summer slides 1"))
    page.setup.go()
    pump(lambda: page.training.outcome is not None)
    settle()


@state
def train_done(it: Bench) -> None:
    """Wait for its end."""
    training = it.dock.pages[2].training
    pump(lambda: training.info is not None and training.info.state == "done")
    settle(2.5)


@state
def train_compare(it: Bench) -> None:
    """Compare before and after."""
    page = it.dock.pages[2]
    page.run.open_beside()
    pump(lambda: "AJI on" in page.run._beside.words.text())
    settle()


@state
def train_closing(it: Bench) -> None:
    """Close the window while a run trains: a question."""
    page = it.dock.pages[2]
    page.run._beside.close()
    page.training.choose("")
    page.setup.go()
    pump(lambda: page.training.info is not None and page.training.info.active)
    it.viewer.window._qt_window.close()
    settle()


@state
def train_stopped(it: Bench) -> None:
    """Cancel the question, stop the run."""
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    QApplication.activeModalWidget().reject()
    training = it.dock.pages[2].training
    training.do("stop")
    pump(lambda: training.info is not None and not training.info.active)
    settle()


@state
def tab_why(it: Bench) -> None:
    """Go to "Why?"."""
    it.dock.open_tab("why")
    it.done()


@state
def why_asking(it: Bench) -> None:
    """Make blobs, ask why, wait for the first cause."""
    it.viewer.reset_view()
    it.look("image")
    it.work.live.drop_corrections()
    it.work.tuning.choose_preset("merging_relabel")
    it.done()
    page = it.dock.pages[3]
    page.ask()
    pump(lambda: page.asking.finding is not None)
    settle(0.2)


@state
def why_found(it: Bench) -> None:
    """Wait for the rest."""
    page = it.dock.pages[3]
    pump(lambda: not page.asking.busy)
    settle()


@state
def why_place(it: Bench) -> None:
    """Fly to the worst example."""
    it.dock.pages[3].card.show_place.click()
    it.done()


@state
def why_fixed(it: Bench) -> None:
    """Fix it."""
    page = it.dock.pages[3]
    page.card.fix.click()
    pump(lambda: page.asking.fixed)
    it.done()


@state
def why_files(it: Bench) -> None:
    """Take it back; open the files."""
    page = it.dock.pages[3]
    page.card.undo.click()
    it.done()
    page.files_fold.head.setChecked(True)
    settle(0.2)
    bar = it.dock.tabs.widget(3).verticalScrollBar()
    bar.setValue(bar.maximum())
    it.viewer.reset_view()
    settle()


@state
def bad_model(it: Bench) -> None:
    """Choose a checkpoint that is none."""
    it.dock.open_tab("segment")
    it.work.choose_model("/tmp/a_rather_long_folder/of_somebody/no such model of mine.pth")
    pump(lambda: not it.work.session.model.reading)
    it.done()


@state
def planes(it: Bench) -> None:
    """Add three planes that are colours."""
    import numpy as np  # noqa: PLC0415

    it.work.choose_model("compact")
    tissue = it.viewer.layers[0]
    units = (tissue.units[0], *tissue.units)
    it.viewer.add_image(np.moveaxis(tissue.data, 2, 0), rgb=False, name="planes", units=units)
    it.done()


# ---------------------------------------------------------------- making them


def picture(it: Bench, path: Path) -> None:
    """Write the window as it is, pop-ups and dialogs included."""
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    others = [w for w in QApplication.topLevelWidgets()
              if w.isVisible() and w is not it.viewer.window._qt_window]  # fmt: skip
    screen = QApplication.primaryScreen()
    if others and screen is not None:  # the screen itself: it has what lies above the window
        screen.grabWindow(0).save(str(path))
    else:
        save_screenshot(it.viewer, path)


def all_states(out: Path, sizes: list[str], themes: list[str], wanted: list[str]) -> None:
    """Go through all states in each size and theme."""
    for size in sizes:
        for theme in themes:
            it = bench("tissue", SIZES[size], theme)
            for name, function in STATES.items():
                if wanted and name not in wanted and name not in ("first", "running", "ran"):
                    continue
                function(it)
                picture(it, out / f"{size}-{theme}-{name}.png")
            it.work.close()
            it.viewer.close()


def part(it: Bench, what: str) -> Any:
    """Return what the strip shows of a state, a pixmap: the place on the canvas, or the card."""
    from qtpy.QtCore import Qt  # noqa: PLC0415

    width, height = STRIP_PX
    if what in {"why", "fix"}:
        page = it.dock.pages[3]
        return page.grab().copy(0, page.message.y(), width, height)
    window = it.viewer.window._qt_window
    canvas = it.viewer.window._qt_viewer.canvas.native
    middle = canvas.mapTo(window, canvas.rect().center())
    near = window.grab().copy(middle.x() - width, middle.y() - height, 2 * width, 2 * height)
    return near.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)


def strip(parts: dict[str, Any], path: Path) -> None:
    """Write the four pictures side by side, each under its word."""
    from qtpy.QtGui import QColor, QPainter, QPixmap  # noqa: PLC0415

    width, height = STRIP_PX
    words = [word for pair in STRIP.values() for word in pair]
    whole = QPixmap(len(words) * (width + GAP_PX) - GAP_PX, height + 24)
    whole.fill(QColor("white"))
    painter = QPainter(whole)
    for at, word in enumerate(words):
        painter.drawText(at * (width + GAP_PX) + 4, 16, f"{at + 1}. {word}")
        painter.drawPixmap(at * (width + GAP_PX), 24, parts[word])
    painter.end()
    whole.save(str(path))


def docs(out: Path) -> None:
    """Make the pictures of the documentation."""
    parts: dict[str, Any] = {}
    it = bench("tissue", SIZES["1600"], "dark")
    for name in WAY:
        STATES[name](it)
        for picture_name, shown in IN_DOCS.items():
            if shown == name:
                save_screenshot(it.viewer, out / f"{picture_name}.png")
        parts |= {what: part(it, what) for what in STRIP.get(name, ())}
        if len(parts) == 2 * len(STRIP):
            strip(parts, out / "story.png")
    it.viewer.close()
    it = bench("ihc", SIZES["1600"], "dark")
    it.run()
    save_screenshot(it.viewer, out / "ihc.png")
    it.viewer.close()


def main() -> int:
    """Make pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for pictures of all states")
    parser.add_argument("--size", action="append", choices=SIZES)
    parser.add_argument("--theme", action="append", choices=("dark", "light"))
    parser.add_argument("--state", action="append", default=[], choices=STATES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_HOVERNET_CONFIG"] = folder  # nobody's recent files in a picture
        os.environ["NAPARI_HOVERNET_RUNS"] = str(Path(folder) / "runs")
        if options.out is None:
            DOCS.mkdir(parents=True, exist_ok=True)
            docs(DOCS)
        else:
            options.out.mkdir(parents=True, exist_ok=True)
            sizes, themes = options.size or list(SIZES), options.theme or ["dark", "light"]
            all_states(options.out, sizes, themes, options.state)
    print(f"pictures in {options.out or DOCS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
