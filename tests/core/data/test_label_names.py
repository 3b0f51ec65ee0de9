"""Names of label files."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hovernet.core.data.pairs import LABEL_ENDINGS, image_files, labels_of, list_files


def files(*names: str) -> dict[str, Path]:
    return {name.lower(): Path(name) for name in names}


@pytest.mark.parametrize("ending", LABEL_ENDINGS)
def test_every_ending_is_found_and_is_no_image(ending: str) -> None:
    there = files("a.png", f"a{ending}.tif")
    assert labels_of(Path("a.png"), there, apart=False) == Path(f"a{ending}.tif")
    assert image_files(there) == [Path("a.png")]


def test_beside_the_images_a_twin_is_an_image_and_elsewhere_it_is_the_labels() -> None:
    there = files("a.png", "a.tif", "a_lab.png")
    assert labels_of(Path("a.png"), there, apart=False) == Path("a_lab.png")
    assert labels_of(Path("he/a.jpg"), there, apart=True) == Path("a.png")
    assert labels_of(Path("a.png"), files("a.png", "a.tif"), apart=False) is None


def test_a_name_that_only_looks_like_labels_is_an_image() -> None:
    assert image_files(files("face_mask.png", "b.png")) == [Path("face_mask.png"), Path("b.png")]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "._a.png").touch()
    (tmp_path / "B.PNG").touch()
    assert list(list_files(tmp_path)) == ["b.png"]
