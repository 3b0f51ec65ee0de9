"""Which labels belong to which image: folders, label folders, single images."""

from pathlib import Path

import pytest

from napari_hovernet.core.data.pairs import DataChoice, Pair, find_data, find_pairs
from napari_hovernet.errors import InputError

from ...refusals import refuses


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def shown(pairs: tuple[Pair, ...]) -> dict[str, str]:
    return {pair.name: pair.labels.name if pair.labels else "" for pair in pairs}


def test_labels_beside_the_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a_lab.png", "b.tif", "b_labels.tif", "c.jpg", "c_MASK.PNG", "d.png",
          "d.mat", "e.ome.tif", "e_inst.npy", "f.png", "f_label.geojson", "notes.txt", ".g.png",
          "h_lab.png")  # fmt: skip
    found = find_data(tmp_path)
    assert shown(found.pairs) == {
        "a": "a_lab.png", "b": "b_labels.tif", "c": "c_MASK.PNG", "d": "d.mat", "e": "e_inst.npy",
        "f": "f_label.geojson",
    }  # fmt: skip
    assert [p.name for p in found.unpaired] == ["h_lab"]
    assert find_pairs(tmp_path) == found.pairs


def test_two_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg", "a_lab.png")
    assert shown(find_pairs(tmp_path)) == {"a.jpg": "a_lab.png", "a.png": "a_lab.png"}


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("Images", "Labels")])
def test_folders_of_images_and_of_labels(tmp_path: Path, images: str, labels: str) -> None:
    touch(tmp_path, f"{images}/x_1.png", f"{images}/x_2.png", f"{labels}/x_1.mat", "Thumbs.db")
    found = find_data(tmp_path)
    assert shown(found.pairs) == {"x_1": "x_1.mat"}
    assert [p.name for p in found.unpaired] == ["x_2"]


def test_labels_elsewhere_may_have_the_images_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "he/a.png", "he/b.png", "he/a_lab.png", "gt/a.png", "gt/b_mask.tif")
    found = find_pairs(tmp_path / "he", labels=tmp_path / "gt")
    assert shown(found) == {"a": "a.png", "b": "b_mask.tif"}
    assert found[0].labels == tmp_path / "gt" / "a.png"


def test_a_split_may_be_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "Test/Images/a.png", "Test/Labels/a.mat", "Train/Images/b.png")
    assert shown(find_pairs(tmp_path, split="Test")) == {"a": "a.mat"}
    (pair,) = find_data(tmp_path).pairs
    assert (pair.name, pair.split) == ("a", "Test")
    with pytest.raises(InputError, match=r"holds no image .*it has the folders Images"):
        find_data(tmp_path / "Train", DataChoice(pattern="*.svs"))
    refuses("nor a folder 'val'", lambda: find_data(tmp_path, DataChoice(split="val")))
    refuses("nor a folder", lambda: find_data(tmp_path / "Test", DataChoice(split="..")))


def test_one_image(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a_lab.png", "other.mat", "b.png")
    assert shown(find_pairs(tmp_path / "a.png")) == {"a": "a_lab.png"}
    assert shown(find_pairs(tmp_path / "b.png", labels=tmp_path / "other.mat")) == {
        "b": "other.mat"
    }
    refuses("1 image", find_pairs, tmp_path / "b.png")


def test_images_without_labels_are_enough_where_none_are_needed(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "b_lab.png")
    found = find_data(tmp_path, DataChoice(need_labels=False))
    assert (shown(found.pairs), shown(found.unpaired)) == ({"b": "b_lab.png"}, {"a": ""})


def test_nothing_paired_says_what_was_looked_for(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{letter}.png" for letter in "abcdefg"))
    with pytest.raises(InputError) as refused:
        find_pairs(tmp_path)
    text = str(refused.value)
    assert "7 image(s) without labels (a.png, b.png, c.png, d.png, e.png ...)" in text
    for looked_for in ("_lab", "labels/ beside images/", "index.csv", ".mat", "a_lab.png"):
        assert looked_for in text
    with pytest.raises(InputError, match=r"Looked in .*gt"):
        find_pairs(tmp_path, labels=touch(tmp_path, "gt/z.png") / "gt")


def test_what_is_refused(tmp_path: Path) -> None:
    refuses(r"holds no image .*\*\.svs", find_data, tmp_path)
    refuses("is not there", find_data, tmp_path / "none")
    touch(tmp_path, "a.png", "a_lab.png")
    refuses("leave source 'dsb18' out", lambda: find_data(tmp_path, DataChoice(source="dsb18")))
    refuses("is not there", lambda: find_data(tmp_path, DataChoice(labels=tmp_path / "gt")))
    with pytest.raises(InputError, match="is a file; give a folder"):
        find_data(tmp_path, DataChoice(labels=tmp_path / "a.png"))
