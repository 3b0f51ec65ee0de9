"""What a user has: the command line, the documented names, the manifest, files on a disk.

Nothing here and in the tests beside it knows where a module of the package lies, so that all
of it may be moved: names come from ``napari_hovernet`` itself, from the manifest and from the
documentation, which must be true.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_hovernet.core.weights import DEFAULT

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RENEW = "RENEW_SURFACES"
"""Environment variable: write the surface files instead of comparing with them."""


@pytest.fixture(scope="session")
def files() -> Path:
    """Files that version 0.1.0 wrote; the history has the script."""
    return HERE / "files"


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    text = (ROOT / "napari.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture(scope="session")
def command(manifest: dict[str, Any]) -> Callable[[str], Any]:
    """Import what a command of the manifest names."""
    places = {c["id"]: c["python_name"] for c in manifest["contributions"]["commands"]}

    def resolve(name: str) -> Any:
        module, _, attribute = places[f"napari-hovernet.{name}"].partition(":")
        return getattr(import_module(module), attribute)

    return resolve


@pytest.fixture(scope="session")
def documented() -> Callable[[str], Any]:
    """Import a name from where the documentation says that it is."""
    pages = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(pages)

    def resolve(name: str) -> Any:
        ways = (
            rf"^::: (napari_hovernet[\w.]*)\.{name}$",
            rf"\bfrom (napari_hovernet[\w.]*) import (?:\w+, )*{name}\b",
            rf"\b(napari_hovernet[\w.]*)\.{name}\b(?![\w.])",
        )
        found = next(filter(None, (re.search(way, text, re.MULTILINE) for way in ways)), None)
        assert found, f"the documentation names {name} nowhere"
        return getattr(import_module(found[1]), name)

    return resolve


@pytest.fixture(scope="session")
def same_surface() -> Callable[[str, str], None]:
    """Compare a text with the one kept beside the tests, or keep it under ``$RENEW_SURFACES``."""

    def compare(name: str, text: str) -> None:
        file, text = HERE / name, text.rstrip() + "\n"
        # which built-in model is the default goes by the weights that are there
        text = re.sub(rf"(= '?){re.escape(DEFAULT)}(?=['),])", r"\1compact", text)
        if os.environ.get(RENEW):
            file.write_text(text, encoding="utf-8")
        kept = file.read_text(encoding="utf-8").splitlines()
        lines = difflib.unified_diff(kept, text.splitlines(), "kept", "now", lineterm="", n=2)
        diff = "\n".join(lines)
        assert not diff, f"{diff}\nIf this is meant: {RENEW}=1 python -m pytest tests/contract"

    return compare


@pytest.fixture(scope="session", autouse=True)
def _own_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the training runs of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_HOVERNET_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield
