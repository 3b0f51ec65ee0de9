"""Options: each stands for one choice, and a command line repeats every choice."""

from __future__ import annotations

import os
import random
import shlex
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet.app.training import (
    OPTIONS,
    absolute_start,
    command_line,
    config_from,
    default_name,
    value_at,
)
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.params import LOSS_PRESETS, DataParams, TrainConfig
from napari_hovernet.errors import InputError

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
    named = set(OPTIONS) | {"data.sources", "start", "name"}
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
    preset = rng.choice(["", *LOSS_PRESETS])
    config = config_from(given, preset)
    for path, known in chosen:
        assert value_at(config, path) == given[key_of(known)], path
    line = command_line(config)
    options = build_parser().parse_args(shlex.split(line)[1:])
    assert config_from(vars(options), options.loss_preset or "") == config


def test_presets_are_where_single_weights_begin() -> None:
    config = config_from({"lambda_magnitude": 0.0}, "expert fix")
    assert config.loss == replace(LOSS_PRESETS["expert fix"], lambda_magnitude=0.0)
    with pytest.raises(InputError, match="no loss 'mine'; choose of default"):
        config_from({}, "mine")


def test_paths_become_absolute(tmp_path: Path) -> None:
    config = config_from({"data": ["a", "~/b"], "start": "m.tar"}, where=str(tmp_path))
    assert config.data.sources == (str(tmp_path / "a"), os.path.expanduser("~/b"))
    assert config.start == str(tmp_path / "m.tar")
    for start in ("compact", "scratch:compact"):
        assert absolute_start(start) == start


def test_values_out_of_range_are_refused() -> None:
    for name in ("lambda_np", "lambda_magnitude"):
        for value in (-1.0, float("nan")):
            with pytest.raises(InputError, match=name):
                config_from({name: value})


def test_names() -> None:
    assert default_name(TrainConfig(start="scratch:compact"), "1") == "compact-1"
    assert default_name(TrainConfig(start="/a/__.tar"), "1") == "run-1"
    line = command_line(TrainConfig(name="mine", data=DataParams(("/d",))))
    assert "mine" not in line  # the name is taken
