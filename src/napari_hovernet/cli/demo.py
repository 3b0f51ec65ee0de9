"""``napari-hovernet demo``: starts the viewer in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec

from ..errors import InputError

DEMO_MODULE = "napari_hovernet._napari.demo"
"""Run by name: this layer knows nothing of the viewer."""
NEEDED = ("napari", "qtpy")


def run(options: Namespace) -> int:
    """Start the demonstration and return its exit status."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"The demo needs {' and '.join(missing)}: pip install 'napari-hovernet[all]'. "
            "The other commands work without."
        )
    given = {
        "--sample": options.sample,
        "--model": options.model,
        "--screenshot": options.screenshot,
    }
    arguments = [part for k, v in given.items() if v is not None for part in (k, str(v))]
    command = [sys.executable, "-m", DEMO_MODULE, *arguments]
    return subprocess.run(command, check=False).returncode
