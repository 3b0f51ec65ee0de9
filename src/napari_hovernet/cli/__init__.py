"""The command line ``napari-hovernet``; ``--help`` loads neither torch nor napari."""

from __future__ import annotations

from .entry import main as main
