"""The demonstration: a sample image, segmented by the default model, in napari.

Run as ``python -m napari_hovernet._napari.demo``; ``napari-hovernet demo`` starts it so.
With ``--screenshot`` and no display it starts itself again under a virtual one.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.io.files import atomic_path
from ..core.weights import DEFAULT
from ..errors import DeviceError, UserError

if TYPE_CHECKING:
    from qtpy.QtCore import QTimer

    import napari

    from .workspace import Workspace

MODULE = "napari_hovernet._napari.demo"
"""Name to start this file by."""
SCREEN = "1600x1000x24"
"""Width, height and depth of the virtual display."""
WINDOW = (1600, 1000)
"""Size in pixels of the window in a screenshot."""
SETTLE_MS = 1500  # Pause before a screenshot, so that the canvas has drawn everything
PATIENCE_S = 600
"""Without a person at the screen, a demonstration in which nothing happens for so long is ended."""
SAY_S = 3  # Seconds between two lines on tiles
FIRST_TIME = "opening napari and a sample image; the first time takes longest, code is compiled ..."
SAMPLES = ("tissue", "ihc", "skin")
NO_DISPLAY = (
    "There is no display. Give --screenshot out.png to draw on a virtual one, or set DISPLAY."
)
NO_XVFB = (
    "There is no display, and xvfb-run is not installed: "
    "apt-get install -y xvfb xauth (Debian, Ubuntu), then try again."
)

_LOG = logging.getLogger("napari_hovernet.demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("OpenGL", "vispy", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    options = parser().parse_args(argv)
    try:
        if needs_display():
            return _under_xvfb(options, list(sys.argv[1:] if argv is None else argv))
        return _show(options)
    except UserError as error:
        _LOG.error("napari-hovernet demo: %s", error)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the demonstration's arguments."""
    made = argparse.ArgumentParser(prog="napari-hovernet demo", description=__doc__.split("\n")[0])
    made.add_argument("--sample", choices=SAMPLES, default="ihc", help="image to segment")
    made.add_argument("--model", default=DEFAULT, help="model name or checkpoint file")
    made.add_argument("--screenshot", type=Path, help="write a picture of the window and quit")
    return made


def needs_display() -> bool:
    """Whether this is a system with displays (X11, Wayland), and none is there."""
    if not sys.platform.startswith("linux"):
        return False
    return not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _under_xvfb(options: argparse.Namespace, argv: list[str]) -> int:
    if options.screenshot is None:
        raise DeviceError(NO_DISPLAY)
    if shutil.which("xvfb-run") is None or shutil.which("xauth") is None:
        raise DeviceError(NO_XVFB)
    command = ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", sys.executable, "-m", MODULE]
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb"}
    return subprocess.run([*command, *argv], env=environment, check=False).returncode


def _show(options: argparse.Namespace) -> int:
    _LOG.info(FIRST_TIME)
    import napari  # noqa: PLC0415 - after the display is known to be there

    if options.screenshot is not None:
        gc.disable()  # A short life, and each full collection looks at all that is loaded
    viewer = napari.Viewer(title="napari-hovernet demo")
    viewer.window.resize(*WINDOW)
    demo = Demo(viewer, options)
    demo.start()
    napari.run()
    return demo.status


class Demo:
    """Opens the sample and the panel, runs, and takes the picture when all is done."""

    def __init__(self, viewer: napari.Viewer, options: argparse.Namespace) -> None:
        self.viewer = viewer
        self.options = options
        self.status = 0 if options.screenshot is None else 1
        self.work: Workspace | None = None
        self._said = ("", 0.0)  # The last line, and when it was written
        self._watch: QTimer | None = None

    def start(self) -> None:
        """Open sample and panel; the run starts once the model file has been read."""
        from qtpy.QtCore import QTimer  # noqa: PLC0415

        from .panels.dock import HoverNetDock  # noqa: PLC0415
        from .workspace import workspace_for  # noqa: PLC0415

        open_sample(self.viewer, self.options.sample)
        self.work = workspace_for(self.viewer)
        self.work.warms_up = self.options.screenshot is None
        self.work.session.choose_model(self.options.model)
        dock = HoverNetDock(self.viewer)
        self.viewer.window.add_dock_widget(dock, name="HoVer-Net", area="right")
        self.viewer.reset_view()
        session = self.work.session
        session.model_changed.connect(self._model_known)
        session.status_changed.connect(self._status_known)
        if self.options.screenshot is not None:
            self._watch = QTimer(singleShot=True, timeout=self._too_slow)
        self._model_known(session.model)

    def _model_known(self, model: Any) -> None:
        if self.work is None or model.reading:
            self._say("reading the model ...")
            return
        if model.error:
            self._end(model.error)
        elif not self.work.session.runs and not self.work.session.status.busy:
            self.work.run()

    def _status_known(self, status: Any) -> None:
        if self.work is None:
            return
        if status.error:
            self._end(status.error)
            return
        self._say(status.message)
        if self.work.session.runs and not status.busy:
            later(self._finish)

    def _say(self, message: str) -> None:
        """Write what is going on, tiles now and then; who goes on is not stopped."""
        if self._watch is not None:
            self._watch.start(PATIENCE_S * 1000)
        now, (last, when) = time.monotonic(), self._said
        if message != last and (now - when >= SAY_S or not message.startswith("tile")):
            _LOG.info("%s", message)
            self._said = message, now

    def _finish(self) -> None:
        path = self.options.screenshot
        if path is None or self.status == 0 or self.work is None:
            return
        if self.work.busy:
            later(self._finish)
            return
        try:
            save_screenshot(self.viewer, path)
        except UserError as error:
            self._end(str(error))
            return
        _LOG.info("wrote %s", path)
        self.status = 0
        self.viewer.close()

    def _too_slow(self) -> None:
        if self.status:
            self._end(f"Nothing has happened for {PATIENCE_S} s; the demonstration was stopped.")

    def _end(self, message: str) -> None:
        """Say what went wrong; without a person at the screen, quit."""
        _LOG.error("napari-hovernet demo: %s", message)
        if self.options.screenshot is not None:
            self.viewer.close()


def later(action: Callable[[], None]) -> None:
    """Run an action once the canvas has had time to draw."""
    from qtpy.QtCore import QTimer  # noqa: PLC0415

    QTimer.singleShot(SETTLE_MS, action)


def open_sample(viewer: napari.Viewer, sample: str) -> None:
    """Add the layers of one of this plugin's samples."""
    from napari.layers import Layer  # noqa: PLC0415

    from . import contributions  # noqa: PLC0415

    made = [Layer.create(*layer) for layer in getattr(contributions, f"{sample}_sample")()]
    for layer in made:
        viewer.add_layer(layer)
    viewer.layers.selection.active = made[0]


def save_screenshot(viewer: napari.Viewer, path: Path) -> None:
    """Write a picture of the whole window, in one step.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from imageio.v3 import imwrite  # noqa: PLC0415

    picture = viewer.window.screenshot(canvas_only=False, flash=False)
    with atomic_path(path) as temporary:
        imwrite(temporary, picture, extension=".png")


if __name__ == "__main__":
    sys.exit(main())
