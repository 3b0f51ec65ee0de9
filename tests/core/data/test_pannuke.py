"""PanNuke folds."""

from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.data.load import gather, load_samples
from napari_hovernet.core.data.stores import SizeError, merge_classes
from napari_hovernet.core.params import DataParams
from napari_hovernet.core.training.check import check_data
from napari_hovernet.errors import InputError

from ...refusals import refuses

EDGE = 48


def arrays(n: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 255, (n, EDGE, EDGE, 3)).astype(np.float64)
    masks = np.zeros((n, EDGE, EDGE, 6))
    for i in range(n):
        for k in range(5):
            r, c = 2 + 9 * k, 3 + 5 * ((i + k) % 6)
            masks[i, r : r + 7, c : c + 9, k] = 4
            masks[i, r : r + 7, c + 9 : c + 14, k] = 5
        masks[i, ..., 5] = ~(masks[i, ..., :5] > 0).any(axis=-1)
    types = np.array((["Skin", "HeadNeck", "Bile-duct"] * n)[:n])
    return images, masks, types


def fold(folder: Path, seed: int = 0, **change: object) -> None:
    images, masks, types = arrays(seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {"images": images, "masks": masks, "types": types, **change}.items():
        np.save(folder / f"{name}.npy", array)


def test_a_fold_is_read_from_disk_image_by_image(tmp_path: Path) -> None:
    fold(tmp_path / "fold1")
    images, masks, _ = arrays()
    found = gather([tmp_path])
    assert [s.name for s in found.samples][:2] == ["fold1_0000", "fold1_0001"]
    sample = found.samples[2]
    assert sample.stored and sample.shape == (EDGE, EDGE)
    assert sample.arrays.image.dtype == np.uint8 and (sample.arrays.image == images[2]).all()
    assert len(np.unique(sample.arrays.labels)) == 11, "ids of the classes do not meet"
    for k in range(5):
        assert ((sample.arrays.types == k + 1) == (masks[2, ..., k] > 0)).all()


def test_published_folders_and_several_folds(tmp_path: Path) -> None:
    images, masks, types = arrays()
    for number in (1, 2, 3):
        for kind, array in (("images", images + number % 2), ("masks", masks)):
            place = tmp_path / f"Fold {number}" / kind / f"fold{number}"
            place.mkdir(parents=True)
            np.save(place / f"{kind}.npy", array)
        np.save(tmp_path / f"Fold {number}" / "images" / f"fold{number}" / "types.npy", types)
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert {s.name[:5] for s in data.train} == {"fold1", "fold2"}
    assert {s.name[:5] for s in data.val} == {"fold3"}
    assert "fold3 of 3 folds validates, the others train" in data.notes


def test_a_family_takes_its_tissues_alone(tmp_path: Path) -> None:
    fold(tmp_path)
    found = gather([tmp_path / "images.npy"], family="epidermal")
    assert len(found.samples) == 4
    refuses("no tissue of the family 'respiratory'", gather, [tmp_path], family="respiratory")
    (tmp_path / "types.npy").unlink()
    refuses(r"no types\.npy", gather, [tmp_path], family="epidermal")


def test_wrong_mask_channels_are_a_fault(tmp_path: Path) -> None:
    """The bug of the story: with the background among the classes all is nucleus."""
    _, masks, _ = arrays()
    fold(tmp_path, masks=np.roll(masks, 1, axis=-1))
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert "channel 5 is not the background of the others" in data.faults[0]
    assert "channel 0 covers most" in data.faults[0]
    report = check_data(data)
    assert report.refused
    assert next(f for f in report.findings if f.name == "coverage").verdict == "fault"


def test_images_from_0_to_1_are_brought_to_bytes_and_nan_or_bad_ids_named(tmp_path) -> None:
    images, _, _ = arrays()
    fold(tmp_path, images=images / 255)
    found = gather([tmp_path])
    assert (found.samples[0].arrays.image == images[0]).all()
    assert "multiplied by 255" in " ".join(found.notes)
    images, masks, _ = arrays()
    images[1, 0, 0, 0] = np.nan
    fold(tmp_path, images=images)
    refuses(r"images\.npy\[1\] holds NaN", lambda: gather([tmp_path]).samples[1].arrays)
    for value, words in ((np.nan, "NaN or negative"), (-1, "NaN or negative"), (0.5, "fractions")):
        masks[0, 0, 0, 0] = value
        refuses(words, merge_classes, masks[0])


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"images": np.zeros((6, 9, 9, 4))}, InputError, r"PanNuke is \(N, 256, 256, 3\)"),
        ({"masks": np.zeros((6, EDGE, EDGE, 5))}, InputError, r"PanNuke is \(N, 256, 256, 6\)"),
        ({"masks": np.zeros((5, EDGE, EDGE, 6))}, SizeError, "take both from the same fold"),
        (
            {"images": np.zeros((0, 9, 9, 3)), "masks": np.zeros((0, 9, 9, 6))},
            InputError,
            "no image",
        ),
    ],
)
def test_what_is_no_pannuke_is_refused(tmp_path, change, kind, words) -> None:
    fold(tmp_path, **change)
    refuses(words, gather, [tmp_path], by=kind)
