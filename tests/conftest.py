"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
"""Top of the repository."""


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real images and reference outputs that are kept outside the repository.

    ``$NAPARI_HOVERNET_SHARED`` if set, else ``../shared`` beside the repository.
    """
    named = os.environ.get("NAPARI_HOVERNET_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip(
            f"needs the reference data: no golden/ in {folder}; "
            "put it there or point NAPARI_HOVERNET_SHARED at it"
        )
    return folder
