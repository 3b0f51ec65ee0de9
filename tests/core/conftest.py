"""The rule by which the reference outputs' weights were made."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn


def _value(key: str, shape: tuple[int, ...]) -> np.ndarray:
    x = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    rules = (
        (key.endswith("num_batches_tracked"), lambda: np.zeros(shape)),
        (key.endswith("running_var"), lambda: 1 + 0.2 * np.abs(x)),
        (key.endswith("running_mean"), lambda: 0.05 * x),
        ("unpool" in key, lambda: np.ones(shape)),
        (len(shape) == 4, lambda: x * np.sqrt(1 / np.prod(shape[1:]))),
        (key.endswith("bias"), lambda: 0.05 * x),
        (key.endswith("weight"), lambda: 1 + 0.1 * x),
    )
    return next(make() for fits, make in rules if fits)


@pytest.fixture(scope="session")
def filled() -> Callable[[nn.Module], nn.Module]:
    """Return a function that fills a network by the rule and sets it to eval mode."""

    def fill(network: nn.Module) -> nn.Module:
        state = {
            key: torch.from_numpy(np.asarray(_value(key, tuple(old.shape)))).to(old.dtype)
            for key, old in network.state_dict().items()
        }
        network.load_state_dict(state)
        return network.eval()

    return fill


@pytest.fixture(scope="session")
def named(shared: Path) -> Callable[[str], dict[str, list[object]]]:
    """Return a function that reads the reference names, shapes and dtypes."""
    return lambda name: json.loads((shared / "golden" / f"{name}.keys.json").read_text())
