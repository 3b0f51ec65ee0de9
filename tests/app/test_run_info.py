"""A run in a list."""

from __future__ import annotations

import math
from pathlib import Path

from napari_hovernet.app.runs import info_of, is_run
from napari_hovernet.app.watch import write_state
from napari_hovernet.core.params import OptimParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder


def test_what_a_list_shows(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a")
    assert not is_run(folder.path)
    folder.write_config(TrainConfig(name="a", optim=OptimParams(epochs=7)))
    assert is_run(folder.path)
    folder.events.write_text(
        '{"v": 1, "t": 0, "event": "epoch", "epoch": 3, "val": {"aji": 0.5, "pq": null}}\n'
        '{"v": 1, "t": 1, "event": "step", "epoch": 4, "step": 31}\n'
    )
    write_state(folder, "stopped", "for lunch")
    info = info_of(folder)
    assert (info.epoch, info.n_epochs, info.message, info.active) == (3, 7, "for lunch", False)
    assert info.score("aji") == 0.5
    assert math.isnan(info.score("pq"))
    assert not info.can_resume
    folder.resume_file.parent.mkdir()
    folder.resume_file.touch()
    assert info_of(folder).can_resume
    assert info_of(folder) == info_of(folder)
