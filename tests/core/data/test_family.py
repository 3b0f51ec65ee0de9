"""Files of the token decoder's families."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.data.samples import LoadedData
from napari_hovernet.core.data.stores import SizeError
from napari_hovernet.core.hv import ORDERS, SIGNS, HVConvention, hv_targets
from napari_hovernet.core.params import DataParams
from napari_hovernet.errors import InputError

from ...refusals import refuses
from .drawn import nuclei

N, EDGE = 8, 64


LABELS = np.stack([np.pad(nuclei(i)[:, :EDGE], ((0, 3), (0, 0))) for i in range(N)])


def write(
    folder: Path, convention: HVConvention | None = None, int8: bool = False, **change: object
) -> None:
    """Write features and targets of a family; a change of None leaves an array out."""
    hv = np.stack([hv_targets(labels, convention) for labels in LABELS])
    arrays = {
        "np_targets": (LABELS > 0).astype(np.uint8),
        "hv_targets": np.rint(hv * 127).astype(np.int8) if int8 else hv,
        "nt_targets": ((LABELS % 4 + 1) * (LABELS > 0)).astype(np.uint8),
        **change,
    }
    tokens = np.random.default_rng(0).normal(size=(N, 261, 6)).astype(np.float16)
    features = {"layer_24": arrays.pop("features", tokens)}
    np.savez(folder / "epidermal_features.npz", **features)
    arrays = {name: a for name, a in arrays.items() if a is not None}
    np.savez_compressed(folder / "epidermal_targets.npz", **arrays)


def tokens(folder: Path, **more: object) -> LoadedData:
    return load_samples(DataParams(sources=(str(folder),), **more), needs="tokens")


@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize(("order", "sign"), list(product(ORDERS, SIGNS)))
def test_stored_hv_comes_as_ours(tmp_path: Path, order: str, sign: str, int8: bool) -> None:
    write(tmp_path, HVConvention(order=order, sign=sign), int8)
    data = tokens(tmp_path, family="epidermal")
    assert len(data.all) == N
    for sample in data.all:
        labels = LABELS[int(sample.name[-5:])]
        assert sample.features.dtype == np.float16
        assert np.abs(sample.arrays.hv_target - hv_targets(labels)).max() < (
            0.005 if int8 else 1e-6
        )
        assert (sample.arrays.np_target == (labels > 0)).all()
        assert sample.arrays.nt_target.max() == 4
    text = " ".join(data.notes)
    assert f"stored HV is {'[H, V]' if order == 'hv' else '[V, H]'}, {sign}" in text
    assert ("divided by 127" in text) is int8 and "only flipped and turned" in text


def test_types_counted_from_0_inside_nuclei(tmp_path: Path) -> None:
    """Class 0 is a type there, and background has none of its own."""
    write(tmp_path, nt_targets=((LABELS % 5) * (LABELS > 0)).astype(np.uint8))
    sample = tokens(tmp_path, types_background=False).train[0]
    nucleus = sample.arrays.np_target > 0
    assert set(sample.arrays.type_map[nucleus].tolist()) == {1, 2, 3, 4, 5}
    assert not sample.arrays.type_map[~nucleus].any()


def test_labels_are_taken_where_they_are_and_the_convention_is_named(tmp_path: Path) -> None:
    write(tmp_path, HVConvention.preset("vh_inward_radial"), inst_maps=LABELS)
    data = tokens(tmp_path)
    sample = data.all[0]
    assert sample.arrays.hv_target is None
    assert (sample.arrays.labels == LABELS[int(sample.name[-5:])]).all()
    text = " ".join(data.notes)
    assert "[V, H], inward" in text and "closest to 'vh_inward_radial'" in text
    assert "computed from inst_maps" in text


def test_a_named_convention_counts_and_none_must_be_named(tmp_path) -> None:
    write(tmp_path, HVConvention.preset("vh_inward_radial"))
    right = tokens(tmp_path, hv_convention="vh_inward_radial")
    assert not right.faults
    wrong = tokens(tmp_path, hv_convention="default")
    assert "hv_convention 'default' is hv, outward, but" in wrong.faults[0]
    assert "flips cancel HV out" in wrong.faults[0]
    refuses("'sideways' is not known", tokens, tmp_path, hv_convention="sideways")
    noise = np.random.default_rng(0).uniform(-1, 1, (N, 2, EDGE, EDGE)).astype(np.float32)
    write(tmp_path, hv_targets=noise)
    refuses("cannot be told how HV is stored", tokens, tmp_path)
    assert len(tokens(tmp_path, hv_convention="default").all) == N
    write(tmp_path, hv_targets=noise * 0)
    refuses("HV is 0 in all nuclei", tokens, tmp_path)


def test_the_data_file_brings_images_folds_and_source_images(tmp_path: Path) -> None:
    write(tmp_path)
    images = np.random.default_rng(1).integers(0, 255, (N, EDGE, EDGE, 3)).astype(np.uint8)
    ids = np.array([f"slide{i // 2}" for i in range(N)])
    np.savez(tmp_path / "epidermal_data_FIXED.npz", images=images, inst_maps=LABELS, image_ids=ids)
    source = str(tmp_path / "epidermal_data_FIXED.npz")
    data = load_samples(DataParams(sources=(source,)))
    assert {s.group for s in data.all} == {f"epidermal:slide{i}" for i in range(4)}
    assert not {s.group for s in data.train} & {s.group for s in data.val}
    sample = data.train[0]
    assert (sample.arrays.image == images[int(sample.name[-5:])]).all() and sample.features is None
    folds = np.arange(N) % 3
    np.savez(tmp_path / "epidermal_data_FIXED.npz", images=images, inst_maps=LABELS, fold_ids=folds)
    data = load_samples(DataParams(sources=(source,)))
    assert [int(s.name[-5:]) for s in data.val] == [2, 5]
    assert any("fold 2 of 3 validates" in note for note in data.notes)
    assert all(s.features is not None and s.arrays.image is not None for s in tokens(tmp_path).all)


def test_what_is_missing_or_differs_is_named(tmp_path) -> None:
    write(tmp_path, np_targets=(LABELS > 0)[:-1].astype(np.uint8))
    with pytest.raises(SizeError, match=r"Numbers of images differ .*np_targets 7, .*layer_24 8"):
        tokens(tmp_path)
    write(tmp_path, hv_targets=np.zeros((N, 3, EDGE, EDGE), np.float32))
    refuses(r"must be \(N, 2, H, W\)", tokens, tmp_path, by=SizeError)
    write(tmp_path, hv_targets=None)
    refuses(r"neither inst_maps nor np_.* There is: features, np, types", tokens, tmp_path)
    (tmp_path / "epidermal_targets.npz").unlink()
    refuses(r"give epidermal_targets\.npz", tokens, tmp_path)
    with pytest.raises(InputError, match=r"has no images .*takes images"):
        load_samples(DataParams(sources=(str(tmp_path),)))
    refuses("no tokens of the family 'digestive'", tokens, tmp_path, family="digestive")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match=r"other\.npz: there is nothing in it that can be used"):
        load_samples(DataParams(sources=(str(tmp_path / "other.npz"),)))


def test_nan_in_tokens_or_hv_names_the_sample(tmp_path: Path) -> None:
    features = np.zeros((N, 261, 6), np.float16)
    features[3, 7, 2] = np.inf
    write(tmp_path, features=features)
    odd = next(s for s in tokens(tmp_path).all if s.name.endswith("3"))
    refuses(r"epidermal_00003: .*tokens hold NaN or infinite", lambda: odd.arrays)
    hv = np.stack([hv_targets(labels) for labels in LABELS])
    hv[0, 0, 0, 0] = np.nan
    write(tmp_path, hv_targets=hv)
    refuses("HV holds NaN", tokens, tmp_path)
