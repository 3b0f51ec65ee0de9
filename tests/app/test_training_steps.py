from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.run_store import RunStore
from napari_hovernet.app.training_steps import check_steps, log_end, start_steps
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.synthetic import TissueParams, tissue
from napari_hovernet.errors import InputError


class Store(RunStore):
    """Starts nothing."""

    def start(self, run, start=None):
        self.started = run
        if getattr(self, "error", None):
            raise self.error


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "pairs"
    for number in range(3):
        made = tissue((96, 96), number, TissueParams(mpp=0.5))
        about = PairAbout(source=f"s{number}", split="val" if number == 2 else "train")
        save_training_pair(folder, f"p{number}", made.image, made.labels, about)
    return folder


def config(*sources):
    return TrainConfig(data=DataParams(sources=tuple(map(str, sources))))


def test_data_in_order(data):
    found = drive(check_steps(config(data)))
    assert not found.refused and not found.problems
    assert found.summary.startswith("2 to train, 1 to validate")
    assert (found.data, found.start) == (config(data).data, "compact")


def test_data_that_are_gone_and_empty_labels_are_refused(data, tmp_path):
    found = drive(check_steps(config(tmp_path / "nowhere")))
    assert found.refused and "nowhere" in found.problems[0]
    for path in (data / "labels").iterdir():
        from napari_hovernet.core.io.labels import write_label_tiff  # noqa: PLC0415

        path.unlink()
        write_label_tiff(path, np.zeros((96, 96), np.int32))
    found = drive(check_steps(config(data)))
    assert found.refused and found.problems


def test_pairs_of_layers_go_into_the_runs_own_folder(data, tmp_path):
    store = Store(tmp_path / "runs")
    asked = config(tmp_path, data)
    name = drive(start_steps(store, asked, data))
    run = store.find(name)
    assert store.started == name
    assert run.read_config().data.sources == (str(tmp_path), str(run.path / "data"))
    assert (run.path / "data" / "index.csv").read_text() == (data / "index.csv").read_text()


def test_pairs_that_are_not_among_the_sources_are_not_copied(data, tmp_path):
    store = Store(tmp_path / "runs")
    run = store.find(drive(start_steps(store, config(tmp_path), data)))
    assert not (run.path / "data").exists()


def test_a_run_that_cannot_be_started_leaves_nothing(data, tmp_path):
    store = Store(tmp_path / "runs")
    store.error = InputError("no")
    with pytest.raises(InputError, match="no"):
        drive(start_steps(store, config(data)))
    assert store.list() == ()
    store.error = None
    with pytest.raises(Exception, match="data"):
        drive(start_steps(store, config(tmp_path / "gone"), tmp_path / "gone"))
    assert store.list() == ()


def test_names_are_made_unique(data, tmp_path):
    store = Store(tmp_path / "runs")
    asked = replace(config(data), name="skin")
    names = [drive(start_steps(store, asked)) for _ in range(2)]
    assert names == ["skin", "skin-2"]


def test_the_end_of_a_log(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 20_000 + b"\n\n a \r b\nc  \n\xff\n")
    assert log_end(path, 3).splitlines() == [" b", "c", "\ufffd"]
    assert log_end(tmp_path / "none") == ""
