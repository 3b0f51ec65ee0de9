"""The drawn slide, once for all tests of slides."""

from pathlib import Path

import numpy as np
import pytest

from .drawn import scene, write_slide


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return scene()


@pytest.fixture(scope="session")
def slide(image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "drawn.tif", image)
