"""Names of label files."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.core.data.pairs import (
    find_pairs,
    image_files,
    labels_of,
    list_files,
    read_pair,
)


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
    for place in TREES[name]:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    (pair,) = find_pairs(tmp_path)
    assert pair.name in ("x", "x_img", "x_original")
    assert pair.image == tmp_path / TREES[name][0]
    assert pair.labels == tmp_path / TREES[name][1]


def test_a_data_set_is_found_from_its_root_with_splits_and_sources(tmp_path: Path) -> None:
    for place in ("Train/Images/x.png", "Train/Labels/x.mat", "Test/Images/x.png",
                  "Test/Labels/x.mat", "other/y.png", ".git/z.png", ".git/z_lab.png"):  # fmt: skip
        (tmp_path / "CoNSeP" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "CoNSeP" / place).touch()
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
