"""A tiny model in a file, and images."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch

from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.types import Model, ModelInfo


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained compact network of 2 levels; it finds something everywhere."""
    torch.manual_seed(0)
    network = CompactUNet((4, 8)).eval()
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    info = ModelInfo("compact", mpp=0.25, licence="CC0", config=network.config)
    save_model(Model(network, info, torch.device("cpu")), path)
    return path


def picture(seed: int = 0, shape: tuple[int, ...] = (48, 64, 3)) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three images, one of them in a folder below."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.tif", "b.tif", "more/a.tif")):
        tifffile.imwrite(folder / name, picture(seed), photometric="rgb")
    (folder / "notes.txt").write_text("no image")
    return folder


def files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """Ctrl-C counts, though a shell may have it ignored by what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
