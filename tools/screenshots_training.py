"""Make the picture of a training run in the viewer: generated tissue, the built-in model.

Run where there is a display, or::

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/screenshots_training.py

Writes ``docs/images/fine-tune.png``. It trains for a few short epochs, some minutes on a CPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from screenshots import FOLDER, WINDOW, pump, settle
from screenshots_study import save_reduced

from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.core.params import DataParams, LossParams, OptimParams, TrainConfig
from napari_hovernet.core.synthetic import tissue

IMAGES, EDGE = 6, 384
EPOCHS, STEPS, CROP = 6, 12, 96
"""A short training: it is the panel that is shown."""
TIMEOUT_S = 1200


def training_data(folder: Path) -> None:
    """Write generated tissue as training pairs, two of them for validation."""
    for number in range(IMAGES):
        made = tissue(shape=(EDGE, EDGE), seed=number)
        split = "val" if number < 2 else "train"
        about = PairAbout(source=f"tissue {number}", split=split, mpp=made.mpp)
        save_training_pair(folder, f"tissue_{number}", made.image, made.labels, about)


def main() -> int:
    """Train, wait, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--start", default="compact")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_HOVERNET_CONFIG"] = folder
        os.environ["NAPARI_HOVERNET_RUNS"] = f"{folder}/runs"
        import napari  # noqa: PLC0415 - after --help

        training_data(Path(folder) / "data")
        viewer = napari.Viewer()
        viewer.window.resize(*WINDOW)
        _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Fine-tune")
        config = TrainConfig(
            start=options.start,
            name="tissue",
            data=DataParams(sources=(f"{folder}/data",), crop=CROP, max_val=2),
            loss=LossParams(),
            optim=OptimParams(epochs=EPOCHS, batch=8, steps_per_epoch=STEPS, lr=3e-4),
        )
        work = panel.tuning
        work.start(config)
        pump(lambda: work.view is not None and work.view.state == "done", TIMEOUT_S)
        panel.tabs.setCurrentIndex(1)
        settle(3)
        viewer.reset_view()
        settle()
        save_reduced(viewer, options.out / "fine-tune.png")
        viewer.close()
    print("wrote fine-tune.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
