"""How data sets name the labels of an image: the one table, and what follows from it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

LABEL_ENDINGS: Mapping[str, str] = {
    "_lab": "this program",
    "_labels": "this program, many others",
    "_label": "many",
    "_inst": "hover_net",
    "_instances": "many",
    "_cp_masks": "Cellpose",
    "_seg": "Cellpose (.npy)",
    "_masks": "many",
    "_mask": "many",
    "-labelled": "QuPath scripts",
    "-labels": "QuPath scripts",
    "-label": "QuPath scripts",
    "-masks": "ImageJ",
    "-mask": "ImageJ",
    "_gt": "challenges",
    "_rois": "this program, ImageJ",
    "_annotations": "ASAP, COCO",
    "_nuclei": "PUMA",
}
"""What follows the image's name (without or with its own ending) in that of its labels, first
choice first, and who writes it."""
IMAGE_ENDINGS = ("_img", "_image", "_raw", "_he", "_original")
"""What may follow the name of an image that its labels do not have (Cellpose: ``x_img.png`` and
``x_masks.png``)."""
ANNOTATOR = "annotator"
IMAGE_FOLDERS = (
    "images", "image", "imgs", "img", "tissue images", "lizard images", "slide", "rgb",
    "rawimages", "training dataset tif rois",
)  # fmt: skip
LABEL_FOLDERS = (
    "labels", "label", "masks", "inst", "mask", "gt", "ground truth", "groundtruth", "label masks",
    "label masks modify", "annotations", "lizard labels", "training dataset geojson nuclei",
    ANNOTATOR,
)  # fmt: skip
"""Folders in which labels lie under the names of their images; case, numbers at both ends,
underscores and brackets do not matter (NuInsSeg ``tissue images``, ``label masks``; Lizard
``Lizard_Images1``, ``Lizard_Labels/Labels``; MoNuSeg ``Tissue Images``, ``Annotations``; TNBC
``Slide_01``, ``GT_01``; CryoNuSeg ``Annotator 1 (biologist)/label masks``; PUMA
``01_training_dataset_tif_ROIs``)."""
NUCLEI_FOLDER = "masks"
"""Folder with a mask per nucleus, beside ``images`` with the one image (DSB 2018)."""


def folder_name(path: Path) -> str:
    """Return a folder's name as the table has it."""
    bare = re.sub(r"[\s_-]+", " ", path.name.lower().partition("(")[0])
    return bare.strip(" 0123456789")


def lowered(name: str) -> str:
    """Return a name as files are compared: small letters, umlauts as one character (macOS)."""
    return unicodedata.normalize("NFC", name).lower()


def label_names(image: Path, stem: str) -> list[str]:
    """Names, without ending and in small letters, that labels of an image may have."""
    whole, stem = lowered(image.name), lowered(stem)
    marked = [f"{base}{end}" for base in (stem, whole, shortened(stem)) for end in LABEL_ENDINGS]
    return [*dict.fromkeys(marked), whole]


def shortened(stem: str) -> str:
    """Return the name of an image in small letters without what says that it is one."""
    ending = next((end for end in IMAGE_ENDINGS if stem.endswith(end) and stem != end), "")
    return stem.removesuffix(ending)
