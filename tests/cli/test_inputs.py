"""Which images are meant, and what their results are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hovernet.cli.inputs import Search, find_inputs, name_results
from napari_hovernet.errors import InputError

SUFFIXES = (".png", ".tif")


def stems(*names: str) -> list[str]:
    return [found.stem.as_posix() for found in name_results([Path(name) for name in names])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in/b.TIF", "in/a.png", "in/.hidden.png", "in/text.txt", "in/sub/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def names(folder: Path, search: Search) -> list[str]:
    return [i.path.relative_to(folder).as_posix() for i in find_inputs([folder], search)]


def test_the_name_alone_where_it_is_enough() -> None:
    assert stems("x/a.png", "y/b.v2.tif", "z/c.OME.tif") == ["a", "b.v2", "c"]


def test_folders_in_front_where_names_meet() -> None:
    assert stems("/x/a.png", "/y/a.png", "/y/b.png") == ["x/a", "y/a", "b"]
    assert stems("/1/x/a.png", "/2/x/a.png") == ["1/x/a", "2/x/a"]


def test_the_ending_where_only_that_differs() -> None:
    assert stems("x/a.png", "x/a.tif") == ["a.png", "a.tif"]


@pytest.mark.parametrize(
    "given",
    [
        ["/a.png", "/x/a.png", "/x/x/a.png"],
        ["/x/A.png", "/y/a.png"],
        ["/x/.ome.tif", "/x/a.ome.tif", "/x/a.tif"],
        ["/x/a.png", "/x/a.tif", "/y/a.png"],
        ["/x/a", "/x/a.png", "/y/a.png.tif"],
    ],
)
def test_no_two_results_ever_share_a_name(given: list[str]) -> None:
    found = [stem.casefold() for stem in stems(*given)]
    assert len(set(found)) == len(given)
    assert not any(stem.startswith(("/", "..")) for stem in found)


def test_a_folder_gives_its_readable_images_in_order(folder: Path) -> None:
    assert names(folder, Search(SUFFIXES)) == ["a.png", "b.TIF"]
    assert names(folder, Search(SUFFIXES, recursive=True)) == ["a.png", "b.TIF", "sub/a.png"]
    assert names(folder, Search(SUFFIXES, pattern="b*")) == ["b.TIF"]


def test_results_are_not_taken_for_images(folder: Path) -> None:
    (folder / "a_labels.tif").touch()
    (folder / "out").mkdir()
    (folder / "out" / "c.png").touch()
    assert "a_labels.tif" in names(folder, Search(SUFFIXES, leave_out=folder.parent / "other"))
    assert "a_labels.tif" not in names(folder, Search(SUFFIXES, leave_out=folder))
    inside = names(folder, Search(SUFFIXES, recursive=True, leave_out=folder / "out"))
    assert "out/c.png" not in inside
    assert "sub/a.png" in inside


def test_each_image_once_and_files_whatever_their_ending(folder: Path) -> None:
    found = find_inputs([folder / "a.png", folder, folder / "text.txt"], Search(SUFFIXES))
    assert [i.path.name for i in found] == ["a.png", "b.TIF", "text.txt"]


def test_a_folder_without_images_is_refused_with_what_helps(folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds no image \(\*\.jpg\); --recursive"):
        find_inputs([folder], Search((".jpg",)))
    with pytest.raises(InputError, match=r"holds no image \(z\*\)\."):
        find_inputs([folder], Search(SUFFIXES, pattern="z*", recursive=True))
