"""The command line ``napari-hovernet``; ``--help`` loads neither torch nor napari."""

from __future__ import annotations

from .main import main as main
