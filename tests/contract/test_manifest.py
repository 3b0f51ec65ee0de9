"""What the manifest offers napari, kept in ``manifest_surface.txt``; and that all of it is there.

Renew with ``RENEW_SURFACES=1``, see ``test_python.py``. Where commands lead in Python may
change; which there are, what they are called and where they stand in menus is what users see.
"""

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[[str], Any]


def lines(manifest: dict[str, Any]) -> Iterator[str]:
    offered = manifest["contributions"]
    yield f"name {manifest['name']}, shown as {manifest['display_name']}"
    yield f"categories {', '.join(manifest['categories'])}"
    for found in offered["commands"]:
        yield f"command {found['id']}: {found['title']}"
    for found in offered["widgets"]:
        yield f"widget {found['command']}: {found['display_name']}"
    for menu, entries in offered["menus"].items():
        yield from (f"menu {menu} {e['group']}: {e['command']}" for e in entries)
    for found in offered["readers"]:
        yield f"reader {found['command']}: {' '.join(found['filename_patterns'])}"
        yield f"reader {found['command']} takes folders: {found['accepts_directories']}"
    for found in offered["writers"]:
        takes = " ".join((*found["layer_types"], "->", *found["filename_extensions"]))
        yield f"writer {found['command']}: {takes}, {found['display_name']}"
    for found in offered["sample_data"]:
        yield f"sample {found['key']}: {found['command']}, {found['display_name']}"
    for name, group in offered["configurations"].items():
        for key, about in group["properties"].items():
            limits = {k: v for k, v in about.items() if k not in ("title", "description")}
            yield f"setting {name}.{key}: {about['title']}, {limits}"
    yield f"kinds {' '.join(sorted(offered))}"


def test_what_is_offered_is_what_users_know(manifest, same_surface) -> None:
    same_surface("manifest_surface.txt", "\n".join(lines(manifest)))


def test_every_command_leads_to_something_that_can_be_called(manifest, command) -> None:
    pytest.importorskip("napari")
    offered = manifest["contributions"]
    names = [found["id"].removeprefix("napari-hovernet.") for found in offered["commands"]]
    assert all(callable(command(name)) for name in names)
    used = [w["command"] for w in offered["widgets"]]
    used += [e["command"] for menu in offered["menus"].values() for e in menu]
    assert {name.removeprefix("napari-hovernet.") for name in used} <= set(names)


def test_napari_accepts_it(root: Path) -> None:
    npe2 = pytest.importorskip("npe2")
    npe2.PluginManifest.from_file(root / "napari.yaml").validate_imports()
    (found,) = entry_points(group="napari.manifest", name="napari-hovernet")
    assert found.value == "napari_hovernet:napari.yaml"


def test_the_generated_sample_comes_with_its_true_nuclei(command: Command) -> None:
    (image, about, kind), (labels, hidden, kind_of_labels) = command("sample_tissue")()
    assert (kind, kind_of_labels) == ("image", "labels")
    assert image.dtype == np.uint8 and image.shape == (*labels.shape, 3) == (768, 768, 3)
    assert labels.max() == len(hidden["features"]["index"]) > 100
    assert about["scale"] == hidden["scale"] == (0.25, 0.25)
    assert about["metadata"]["mpp"] == 0.25 and not hidden["visible"]


def test_the_reader_takes_its_own_files_alone(command, files, tmp_path) -> None:
    reader = command("read_results")
    for name in ("t3.geojson", "t3.json", "t3.mat"):
        assert reader(str(files / "exports" / name)) is not None
    assert reader(str(files / "family" / "skin_features.npz")) is not None
    other = tmp_path / "other.json"
    other.write_text('{"no": "nuclei"}')
    assert reader(str(other)) is None
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    assert reader(str(tmp_path / "other.npz")) is None
