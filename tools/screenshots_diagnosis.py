"""Make the pictures of the how-to "Diagnose in napari".

Run where there is a display, or::

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/screenshots_diagnosis.py

Writes PNG files into ``docs/images``. Only generated tissue is shown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from screenshots import FOLDER, pump, segmented, settle
from screenshots_study import save_reduced

ANSWER_S = 240


def diagnosed(viewer: Any, segment: Any) -> Any:
    """Cut the nuclei with a historical mistake, choose the truth, and diagnose."""
    session = segment.session
    session.undo()
    session.set_options(replace(session.options, separation="merging_relabel"))
    segment.run()
    pump(lambda: not session.status.busy and segment.work.layers.settled, ANSWER_S)
    _, compare = viewer.window.add_plugin_dock_widget("napari-hovernet", "Compare and correct")
    truth = viewer.layers["tissue, true nuclei"]
    compare.comparing.choose(("layer", id(truth)))
    pump(lambda: compare.study.truth and compare.study.truth.labels is not None, ANSWER_S)
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Diagnose")
    settle()
    panel.start.start.click()
    pump(lambda: not panel.diagnosing.busy and panel.diagnosing.findings, ANSWER_S)
    settle()
    return panel


def main() -> int:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="compact")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_HOVERNET_CONFIG"] = folder  # nobody's recent files in a picture
        viewer, segment = segmented("tissue", options.model)
        panel = diagnosed(viewer, segment)
        for found in panel.diagnosing.findings[:3]:
            print(f"{found.verdict} {found.certainty:.2f} {found.id}: {found.evidence}")
        panel.list.itemClicked.emit(panel.list.topLevelItem(0), 0)
        settle()
        save_reduced(viewer, options.out / "diagnose.png")
        panel.finding.remedy.apply.click()
        pump(lambda: not panel.diagnosing.busy, ANSWER_S)
        settle()
        for done in panel.remedies.applied:
            print(f"applied: {done.title}: {done.before} -> {done.after}")
        save_reduced(viewer, options.out / "diagnose-mended.png")
        viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
