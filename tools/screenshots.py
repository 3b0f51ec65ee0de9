"""Make the pictures of the documentation: a real window, a real run, sample images only.

Run where there is a display, or::

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/screenshots.py

Writes PNG files into ``docs/images``. Only generated tissue and images that come with
scikit-image are shown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hovernet._napari import sample_data
from napari_hovernet._napari.demo import open_sample, save_screenshot

if TYPE_CHECKING:
    import napari

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WINDOW = (1500, 940)
"""Size of the window in pixels."""
SETTLE_S = 1.0
TIMEOUT_S = 1200


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


def segmented(sample: str, model: str) -> tuple[napari.Viewer, Any]:
    """Open a sample and the panel, run, and return the viewer and the panel."""
    import napari  # noqa: PLC0415

    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    open_sample(viewer, sample)
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Segment nuclei")
    panel.model.choose(model)
    pump(lambda: not panel.session.model.reading and panel.work.devices)
    if panel.session.model.error:
        raise SystemExit(panel.session.model.error)
    panel.run()
    pump(lambda: not panel.session.status.busy and panel.work.layers.settled)
    if panel.session.status.error:
        raise SystemExit(panel.session.status.error)
    viewer.reset_view()
    settle()
    return viewer, panel


def show_only(viewer: napari.Viewer, names: Iterable[str]) -> None:
    """Make some layers visible, by the end of their names, and hide the others."""
    wanted = tuple(names)
    for layer in viewer.layers:
        layer.visible = layer.name.endswith(wanted)


def magnitude_on_the_right(viewer: napari.Viewer) -> None:
    """Show the magnitude under the right half of the outlines, the image under the left."""
    magnitude = next(x for x in viewer.layers if x.name.endswith("magnitude"))
    half = magnitude.data.shape[1] // 2
    row, col = magnitude.translate
    magnitude.data = magnitude.data[:, half:]
    magnitude.translate = (row, col + half * magnitude.scale[1])
    show_only(viewer, (*(x.name for x in viewer.layers[:1]), "magnitude", "· nuclei"))
    settle()


def main() -> int:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="compact")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_HOVERNET_CONFIG"] = folder  # nobody's recent files in a picture
        viewer, _ = segmented("tissue", options.model)
        magnitude_on_the_right(viewer)
        save_screenshot(viewer, options.out / "readme.png")
        viewer.close()
        viewer, panel = segmented("ihc", options.model)
        save_screenshot(viewer, options.out / "ihc.png")
        save_widget(panel, options.out / "panel.png")
        viewer.close()
    print(f"pictures in {options.out}, tissue seed {sample_data.TISSUE_SEED}")
    return 0


def save_widget(widget: Any, path: Path) -> None:
    """Write a picture of one widget."""
    if not widget.grab().save(str(path)):
        raise SystemExit(f"{path} cannot be written")


if __name__ == "__main__":
    sys.exit(main())
