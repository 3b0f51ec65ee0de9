"""Put the command line's own help into the page about commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[1] / "src"
PLACE = re.compile(r"^<!-- help:(?P<name>[a-z ]*) -->$", re.MULTILINE)
COLUMNS = "88"
"""Width at which argparse wraps, so that the page looks the same wherever it is built."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace ``<!-- help:NAME -->`` by what ``napari-hovernet NAME --help`` prints."""
    return PLACE.sub(lambda place: f"```text\n{help_of(place['name'])}```", markdown)


def help_of(name: str) -> str:
    """Return the help of a command; "" is the program itself."""
    code = "import sys; from napari_hovernet.cli import main; sys.exit(main(sys.argv[1:]))"
    run = subprocess.run(
        [sys.executable, "-c", code, *name.split(), "--help"],
        env={**os.environ, "COLUMNS": COLUMNS, "PYTHONPATH": str(SOURCES), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"napari-hovernet {name} --help failed:\n{run.stderr}")
    return run.stdout
