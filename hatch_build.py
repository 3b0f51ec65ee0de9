"""Put the one manifest, ``napari.yaml`` at the top level, where napari looks for it.

npe2 finds a manifest inside the package, also in an editable install, where nothing
but the source folder is on the path. So every wheel build, editable ones included,
places it at ``src/napari_hovernet/napari.yaml``; git ignores it there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MANIFEST = "napari.yaml"
PACKAGE = Path("src") / "napari_hovernet"


class ManifestHook(BuildHookInterface):
    """Copy the manifest into the package; link it when the install is editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before the wheel is put together; ``version`` is "standard" or "editable"."""
        del build_data
        place_manifest(Path(self.root), link=version == "editable")


def place_manifest(root: Path, *, link: bool) -> Path:
    """Make the package's manifest equal the top-level one and return its path.

    A link keeps an editable install true to later edits; where the system refuses
    links (Windows without the privilege) it is a copy.
    """
    source, target = root / MANIFEST, root / PACKAGE / MANIFEST
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; the build needs the plugin manifest.")
    if target.is_symlink() and target.resolve() == source.resolve():
        return target
    partial = target.with_name(f".{MANIFEST}.{os.getpid()}")
    try:
        if not (link and _linked(partial, Path("..") / ".." / MANIFEST)):
            shutil.copyfile(source, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _linked(path: Path, to: Path) -> bool:
    try:
        path.symlink_to(to)
    except OSError:
        return False
    return True
