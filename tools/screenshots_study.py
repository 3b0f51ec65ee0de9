"""Make the pictures of the tutorial "See why it is a blob", and print its numbers.

Run where there is a display, or::

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/screenshots_study.py

Writes PNG files into ``docs/images``. Only generated tissue is shown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDockWidget, QScrollArea
from screenshots import FOLDER, pump, segmented, settle

from napari_hovernet.core.separation.tuning import TuneParams

if TYPE_CHECKING:
    import napari

COLORS = 256
"""Colours that a picture is reduced to, so that the repository stays small."""
ANSWER_S = 120


class Story:
    """The viewer, its panels and the state of the tutorial."""

    def __init__(self, viewer: napari.Viewer, panel: Any, out: Path) -> None:
        self.viewer, self.segment, self.out = viewer, panel, out
        self.desk: Any = None
        self._dock: QDockWidget | None = None

    def open(self, name: str) -> Any:
        """Open a panel in place of the last one."""
        if self._dock is not None:
            self.viewer.window.remove_dock_widget(self._dock)
        self._dock, panel = self.viewer.window.add_plugin_dock_widget("napari-hovernet", name)
        self.desk = panel.desk
        self.wait()
        return panel

    def wait(self) -> None:
        """Wait until everything is found out and drawn."""
        desk = self.desk
        pump(lambda: not desk.busy and not (desk.tuner and desk.tuner.busy), ANSWER_S)
        settle()

    def picture(self, name: str) -> None:
        """Write a picture of the window."""
        save_reduced(self.viewer, self.out / name)
        print(f"wrote {name}")


def save_reduced(viewer: napari.Viewer, path: Path) -> None:
    """Write a picture of the whole window with few colours."""
    from PIL import Image  # noqa: PLC0415 - after --help

    shot = viewer.window.screenshot(canvas_only=False, flash=False)[..., :3]
    picture = Image.fromarray(shot).quantize(COLORS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)


def make_blob(story: Story) -> None:
    """Tune the run into a blob and keep it."""
    tuner = story.open("Tune separation")
    tuner.editor.presetChosen.emit("merging_relabel")
    story.wait()
    print("as run", tuner.counts.was["instances"].text(), "nuclei; merged again",
          tuner.counts.now["instances"].text())  # fmt: skip
    story.picture("why-merged.png")
    plain = tuner.tuning.params
    for scale in (0.02, 50.0):
        tuner.tuning.edit(replace(tuner.tuning.start, hv=replace(plain.hv, scale=scale)))
        story.wait()
        print(f"HV times {scale:g}:", tuner.counts.now["instances"].text(), "nuclei")
    start = tuner.tuning.start.separation
    for words, hv in (
        ("short", replace(plain.hv, scale=0.02)),
        ("swapped", replace(plain.hv, order="vh")),
    ):
        tuner.tuning.edit(TuneParams(start, hv))
        story.wait()
        tuner.keep.click()
        story.wait()
        report = story.desk.study.findings.magnitude
        print(f"{words}: {story.desk.run.result.n} nuclei, magnitude {report.inside.mean:.3f} "
              f"({report.verdict}), direction {report.direction:.2f}")  # fmt: skip
        story.desk.work.session.undo()
        story.wait()
    tuner.tuning.edit(plain)
    story.wait()
    tuner.keep.click()
    story.wait()


def look_at_blobs(story: Story) -> None:
    """Colour the blobs and fly to the largest."""
    panel = story.open("Check for blobs")
    print(story.desk.study.findings.blobs.summary)
    panel.color.setChecked(True)
    story.wait()
    panel.on.click()
    story.wait()
    story.picture("why-blobs.png")
    panel.color.setChecked(False)
    story.viewer.reset_view()


def look_at_hv(story: Story) -> None:
    """Open the inspector on the blob, with arrows over it."""
    panel = story.open("Inspect HV")
    report = story.desk.study.findings.magnitude
    print(
        f"magnitude {report.inside.mean:.2f} ({report.verdict}), direction {report.direction:.2f}"
    )
    row = story.desk.study.findings.blobs.rows[0]
    story.desk.fly_to((row.bbox[0], row.bbox[2], row.bbox[1], row.bbox[3]))
    panel.inspecting.show_stage("hv_arrows", True)
    story.wait()
    story.picture("why-inspect.png")
    panel.inspecting.show_stage("hv_arrows", False)
    story.viewer.reset_view()


def compare(story: Story) -> None:
    """Compare the blob, and then the run as it was, with the true nuclei."""
    panel = story.open("Compare and correct")
    truth = story.viewer.layers["tissue, true nuclei"]
    panel.comparing.choose(("layer", id(truth)))
    story.wait()
    pump(lambda: story.desk.study.findings and story.desk.study.findings.comparison, ANSWER_S)
    settle()
    for run in reversed(story.desk.work.session.runs):
        story.desk.choose_run(run.id)
        story.wait()
        pump(lambda: story.desk.study.findings and story.desk.study.findings.comparison, ANSWER_S)
        settle()
        found = story.desk.study.findings.comparison
        scores = {title: f"AJI {ev.aji:.3f} PQ {ev.pq:.3f}" for title, ev in found.rows()}
        print(run.title, scores, f"cosine {found.hv.cosine:.2f}")
        if run is story.desk.work.session.runs[-1]:
            story.picture("why-compare.png")


def sweep(story: Story) -> None:
    """Sweep two parameters against the truth and take the best."""
    tuner = story.open("Tune separation")
    tuner.fold.expand(animate=False)
    second = tuner.sweep.second.combo
    second.setCurrentIndex(second.findData("depth"))
    tuner.sweep.second.high.setValue(0.4)
    tuner.sweep.run.click()
    story.wait()
    best = tuner.tuning.sweep.best
    print("sweep, best:", tuner.sweep.plot.words.text(), best)
    tuner.findChild(QScrollArea).verticalScrollBar().setValue(10_000)
    settle()
    story.picture("why-sweep.png")


def on_real_tissue(options: argparse.Namespace) -> None:
    """Check the immunohistochemistry sample for blobs: no truth is needed."""
    viewer, panel = segmented("ihc", options.model)
    story = Story(viewer, panel, options.out)
    blobs = story.open("Check for blobs")
    report = story.desk.study.findings.magnitude
    print("IHC:", story.desk.study.findings.blobs.summary,
          f"magnitude {report.inside.mean:.2f} ({report.verdict}), "
          f"direction {report.direction:.2f}")  # fmt: skip
    blobs.color.setChecked(True)
    story.wait()
    story.picture("why-ihc.png")
    viewer.close()


def main() -> int:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="compact")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_HOVERNET_CONFIG"] = folder  # nobody's recent files in a picture
        viewer, panel = segmented("tissue", options.model)
        story = Story(viewer, panel, options.out)
        for step in (make_blob, look_at_blobs, look_at_hv, compare, sweep):
            step(story)
        viewer.close()
        on_real_tissue(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
