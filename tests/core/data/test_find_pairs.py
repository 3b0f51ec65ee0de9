"""Which labels belong to which image: folders, label folders, single images."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.core.data.pairs import (
    DataChoice,
    Pair,
    find_data,
    find_pairs,
    image_files,
    labels_of,
    list_files,
    read_pair,
)
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
    assert ([p.name for p in found.unpaired], find_pairs(tmp_path)) == (["h_lab"], found.pairs)


def test_two_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg", "a_lab.png")
    assert shown(find_pairs(tmp_path)) == {"a.jpg": "a_lab.png", "a.png": "a_lab.png"}


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("Images", "Labels")])
def test_folders_of_images_and_of_labels(tmp_path: Path, images: str, labels: str) -> None:
    touch(tmp_path, f"{images}/x_1.png", f"{images}/x_2.png", f"{labels}/x_1.mat", "Thumbs.db")
    found = find_data(tmp_path)
    assert (shown(found.pairs), [p.name for p in found.unpaired]) == ({"x_1": "x_1.mat"}, ["x_2"])


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
    words = r"7 image\(s\) without labels \(a.png, b.png, c.png, d.png, e.png \.\.\.\)"
    text = refuses(words, find_pairs, tmp_path)
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


def files(*names: str) -> dict[str, Path]:
    return {name.lower(): Path(name) for name in names}


def test_twins_and_lookalikes_are_told_from_labels(tmp_path: Path) -> None:
    there = files("a.png", "a.tif", "a_lab.png")
    assert labels_of(Path("a.png"), there, apart=False) == Path("a_lab.png")
    assert labels_of(Path("he/a.jpg"), there, apart=True) == Path("a.png")
    assert labels_of(Path("a.png"), files("a.png", "a.tif"), apart=False) is None
    assert image_files(files("face_mask.png", "b.png")) == [Path("face_mask.png"), Path("b.png")]
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "._a.png").touch()
    (tmp_path / "B.PNG").touch()
    assert list(list_files(tmp_path)) == ["b.png"]


TREES = {
    "Cellpose": ["x.png", "x_cp_masks.png", "x_flows.npy"],
    "Cellpose, what its window saves": ["x.png", "x_seg.npy"],
    "QuPath": ["x.png", "x.png.geojson"],
    "QuPath's label images": ["x.png", "x-labelled.tif"],
    "ImageJ": ["x.jpg", "x-mask.png"],
    "MoNuSeg": ["Tissue Images/x.tif", "Annotations/x.xml"],
    "MoNuSeg's test": ["x.tif", "x.xml"],
    "gt": ["images/x.png", "gt/x.png"],
    "mask": ["image/x.png", "mask/x.png"],
    "NuInsSeg": ["tissue images/x.png", "label masks/x.tif", "mask binary/x.png"],
    "Lizard": ["lizard_images1/Lizard_Images1/x.png", "lizard_labels/Lizard_Labels/Labels/x.mat"],
    "CoNSeP": ["Images/x.png", "Labels/x.mat", "Overlay/x.png"],
    "Cellpose's own images": ["x_img.png", "x_masks.png"],
    "TNBC": ["Slide_01/x.png", "GT_01/x.png"],
    "NuCLS": ["QC/rgb/x.png", "QC/mask/x.png", "QC/csv/x.csv"],
    "PUMA": [
        "01_training_dataset_tif_ROIs/x.tif",
        "01_training_dataset_geojson_nuclei/x_nuclei.geojson",
        "01_training_dataset_geojson_tissue/x_tissue.geojson",
    ],
    "Kumar": ["kumar/test_diff/Images/x.tif", "kumar/test_diff/Labels/x.mat"],
    "CPM-15": ["cpm15/Images/x.png", "cpm15/Labels/x.mat"],
    "Janowczyk": ["x_original.tif", "x_mask.png"],
    "NeurIPS 2022": ["images/x.png", "labels/x_label.tiff"],
    "S-BSST265": ["dataset/rawimages/x.tif", "dataset/groundtruth/x.tif"],
    "PanNuke, as CellViT prepares it": ["fold0/images/x.png", "fold0/labels/x.npy"],
    "CryoNuSeg": [
        "tissue images/x.tif",
        "Annotator 1 (biologist)/label masks/x.tif",
        "Annotator 1 (biologist)/label masks modify/x.tif",
        "Annotator 1 (biologist second round)/Annotator 1 (biologist second round)"
        "/label masks/x.tif",
        "Annotator 2 (bioinformatician)/Annotator 2 (bioinformatician)/label masks/x.tif",
    ],
    "CryoNuSeg's second annotator alone": [
        "tissue images/x.tif",
        "Annotator 2 (bioinformatician)/Annotator 2 (bioinformatician)/label masks/x.tif",
    ],
    "MoNuSAC with slides": ["T-1/x.tif", "T-1/x.xml", "T-1/x.svs"],
    "CoNSeP's root": ["CoNSeP/Train/Images/x.png", "CoNSeP/Train/Labels/x.mat"],
    "NuInsSeg's root": ["human liver/tissue images/x.png", "human liver/label masks/x.tif"],
    "MoNuSAC's root": ["TCGA-5P/TCGA-5P-1/x.tif", "TCGA-5P/TCGA-5P-1/x.xml"],
}


@pytest.mark.parametrize("name", TREES)
def test_labels_are_found_where_others_keep_them(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *TREES[name])
    (pair,) = find_pairs(tmp_path)
    assert pair.name in ("x", "x_img", "x_original") and pair.image == tmp_path / TREES[name][0]
    assert pair.labels == tmp_path / TREES[name][1]


def test_a_data_set_is_found_from_its_root_with_splits_and_sources(tmp_path: Path) -> None:
    touch(tmp_path / "CoNSeP", "Train/Images/x.png", "Train/Labels/x.mat", "Test/Images/x.png",
          "Test/Labels/x.mat", "other/y.png", ".git/z.png", ".git/z_lab.png")  # fmt: skip
    found = find_pairs(tmp_path)
    assert [(p.name, p.split, p.source) for p in found] == [
        ("CoNSeP/Test/x", "Test", "CoNSeP/Test"), ("CoNSeP/Train/x", "Train", "CoNSeP/Train"),
    ]  # fmt: skip


@pytest.mark.parametrize("several", [True, False])
def test_a_mask_per_nucleus_is_put_together(tmp_path: Path, several: bool) -> None:
    """The tree of the Data Science Bowl 2018."""
    for name in ("ab", "cd")[: 1 + several]:
        place = tmp_path / name
        for k, box in enumerate([(0, 4, 0, 4), (5, 8, 5, 8)]):
            mask = np.zeros((9, 9), np.uint8)
            mask[box[0] : box[1], box[2] : box[3]] = 255
            (place / "masks").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / "masks" / f"m{k}.png"), mask)
        (place / "images").mkdir()
        cv2.imwrite(str(place / "images" / f"{name}.png"), np.zeros((9, 9, 3), np.uint8))
    pairs = find_pairs(tmp_path if several else tmp_path / "ab")
    assert [pair.name for pair in pairs] == ["ab", "cd"][: 1 + several]
    labels = read_pair(pairs[0], ("labels",))["labels"]
    assert np.unique(labels, return_counts=True)[1].tolist() == [56, 16, 9]
