"""Options: each stands for one choice, and a command line repeats every choice."""

import os
import random
import shlex
from dataclasses import fields, is_dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.app import training
from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.runs import RunStore, say_what_is_missing
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.choices import options
from napari_hovernet.core.io.labels import write_label_tiff
from napari_hovernet.core.params import LOSS_PRESETS, DataParams, OptimParams, TrainConfig
from napari_hovernet.core.synthetic import TissueParams, tissue
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.core.weights import DEFAULT
from napari_hovernet.errors import InputError

from ..refusals import refuses

OPTIONS = options(TrainConfig)
EVERY = list(OPTIONS.items())


def key_of(known: Any) -> str:
    return str(known.option.replace("-", "_"))


def paths_of(config: Any, front: str = "") -> set[str]:
    found: set[str] = set()
    for field in fields(config):
        value = getattr(config, field.name)
        path = front + field.name
        found |= paths_of(value, f"{path}.") if is_dataclass(value) else {path}
    return found


def test_every_choice_has_an_option() -> None:
    named = set(OPTIONS) | {"data.sources", "data.validation", "start", "name"}
    assert named == paths_of(TrainConfig())
    assert len({known.option for known in OPTIONS.values()}) == len(EVERY)


def other_value(option: Any, rng: random.Random) -> Any:
    """Return a value that is allowed, mostly not the default."""
    default = option.default
    if option.options:
        return rng.choice(option.options)
    if isinstance(default, tuple):
        whole = option.option == "save-epochs"
        return rng.choice([(), (1,), (3, 9)] if whole else [(0.5, 1.5), (0.25, 0.75)])
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return rng.choice(["epidermal", "cpu"])
    share = round(rng.uniform(0.01, 0.99), 6) * rng.choice([1.0, 1e-5])
    return share if isinstance(default, float) else rng.randint(1, 99)


@pytest.mark.parametrize("seed", range(12))
def test_the_command_line_repeats_the_run(seed: int) -> None:
    rng = random.Random(seed)
    chosen = [row for row in EVERY if rng.random() < 0.5]
    given = {key_of(known): other_value(known, rng) for _, known in chosen}
    given |= {"data": ["/some data/a", "/b.npz"], "start": "/models/it's mine.tar"}
    given |= {"types": "/types.json"} if "types" in given else {}
    preset = rng.choice(["", *LOSS_PRESETS])
    config = training.config_from(given, preset)
    for path, known in chosen:
        assert attrgetter(path)(config) == given[key_of(known)], path
    line = training.command_line(config)
    given = build_parser().parse_args(shlex.split(line)[1:])
    assert training.config_from(vars(given), given.loss_preset or "") == config


def test_presets_and_paths(tmp_path: Path) -> None:
    config = training.config_from({"lambda_magnitude": 0.0}, "expert fix")
    assert config.loss == replace(LOSS_PRESETS["expert fix"], lambda_magnitude=0.0)
    refuses("no loss 'mine'; choose of default", training.config_from, {}, "mine")
    config = training.config_from({"data": ["a", "~/b"], "start": "m.tar"}, where=str(tmp_path))
    assert config.data.sources == (str(tmp_path / "a"), os.path.expanduser("~/b"))
    assert config.start == str(tmp_path / "m.tar")
    for start in ("compact", "scratch:compact"):
        assert training.config_from({"start": start}).start == start


def of_sources(*sources: Path, start: str = "compact") -> TrainConfig:
    return TrainConfig(start=start, data=DataParams(tuple(map(str, sources)), crop=64))


def test_what_is_missing_is_named_and_families_looked_for_where_they_lie(tmp_path, monkeypatch):
    say_what_is_missing(of_sources(tmp_path))
    say_what_is_missing(of_sources(tmp_path, start="scratch:compact"))
    with pytest.raises(InputError, match=r"no training data at .*nowhere: put them back"):
        say_what_is_missing(of_sources(tmp_path, tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"no model at .*m\.tar: name a file, .*'compact'"):
        say_what_is_missing(of_sources(tmp_path, start=str(tmp_path / "m.tar")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no data/family_data with digestive.*--data"):
        say_what_is_missing(training.config_from({"family": "digestive"}))
    (tmp_path / "data" / "family_data").mkdir(parents=True)
    made = training.config_from({"family": "digestive"})
    assert made.data.sources == (str(tmp_path / "data" / "family_data"),)


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


def test_data_in_order_and_data_that_are_gone_or_empty(data, tmp_path):
    found = drive(training.check_steps(config(data)))
    assert not found.refused and not found.problems
    assert found.summary.startswith("2 to train, 1 to validate")
    assert (found.data, found.start) == (config(data).data, DEFAULT)
    found = drive(training.check_steps(config(tmp_path / "nowhere")))
    assert found.refused and "nowhere" in found.problems[0]
    for path in (data / "labels").iterdir():
        path.unlink()
        write_label_tiff(path, np.zeros((96, 96), np.int32))
    found = drive(training.check_steps(config(data)))
    assert found.refused and found.problems


def test_pairs_of_layers_go_into_the_runs_own_folder(data, tmp_path):
    store = Store(tmp_path / "runs")
    asked = config(tmp_path, data)
    name = drive(training.start_steps(store, asked, [data]))
    run = store.find(name)
    assert store.started == name
    assert run.read_config().data.sources == (str(tmp_path), str(run.path / "data"))
    assert (run.path / "data" / "index.csv").read_text() == (data / "index.csv").read_text()
    run = store.find(drive(training.start_steps(store, config(tmp_path), [data])))
    assert not (run.path / "data").exists()


def test_a_run_that_cannot_be_started_leaves_nothing(data, tmp_path):
    store = Store(tmp_path / "runs")
    store.error = InputError("no")
    refuses("no", lambda: drive(training.start_steps(store, config(data))))
    assert store.list() == ()
    store.error = None
    with pytest.raises(Exception, match="data"):
        drive(training.start_steps(store, config(tmp_path / "gone"), [tmp_path / "gone"]))
    assert store.list() == ()


COMPACT = ModelInfo("compact", parameters=2_077_668)
CONFIG = TrainConfig(data=DataParams(crop=256), optim=OptimParams(epochs=10, batch=8))


def test_memory_and_time_are_estimated_where_they_were_measured():
    made = training.estimate(CONFIG, COMPACT, ())
    assert 1e9 < made.memory < 3e9
    assert made.steps == 0 and "per step" in made.words
    assert training.estimate(CONFIG, COMPACT, (), 17 * 8 * 256**2).steps == 170
    small, large = (
        training.estimate(
            replace(CONFIG, optim=OptimParams(batch=n, steps_per_epoch=5)), COMPACT, ()
        )
        for n in (2, 8)
    )
    assert large.seconds_per_step == pytest.approx(4 * small.seconds_per_step)
    assert large.memory > small.memory and large.steps == 100
    made = training.estimate(CONFIG, ModelInfo("optimus", parameters=1_151_209), ())
    assert made.words == ""
    assert training.estimate(replace(CONFIG, start="scratch:hovernet"), None, ()).memory > 10e9
