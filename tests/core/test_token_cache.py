from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.data.stores import DiskArray, npz_members, open_member
from napari_hovernet.core.tokens.data import token_file
from napari_hovernet.errors import InputError, OutputError

TOKENS = np.random.default_rng(0).normal(size=(5, 261, 4)).astype(np.float32)


def test_batches_become_one_array_that_can_be_mapped(tmp_path):
    path = tmp_path / "x_features.npz"
    with token_file(path, "layer_24", 5, {"token_prefix": np.array(5)}) as file:
        for start in (0, 2, 4):
            file.add(TOKENS[start : start + 2])
        assert not path.exists(), "only a whole file is put in place"
    found = open_member(path, "layer_24")
    assert isinstance(found, DiskArray)
    np.testing.assert_array_equal(found, TOKENS.astype(np.float16))
    with np.load(path) as archive:
        assert int(archive["token_prefix"]) == 5
        np.testing.assert_array_equal(archive["layer_24"], found)
    assert set(npz_members(path)) == {"layer_24", "token_prefix"}


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([TOKENS[:2]], "2 images instead of 5"),
        ([], "0 images instead of 5"),
        ([TOKENS[:4], TOKENS[4:, :200]], r"\(200, 4\), of others \(261, 4\)"),
        ([TOKENS * 1e6], "beyond 65504"),
        ([TOKENS * np.nan], "NaN"),
    ],
)
def test_what_is_wrong_leaves_the_old_file_and_nothing_else(batches, match, tmp_path):
    path = tmp_path / "x_features.npz"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=match), token_file(path, "features", 5) as file:
        for batch in batches:
            file.add(batch)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_cancel_leaves_nothing(tmp_path):
    def steps():
        with token_file(tmp_path / "x.npz", "features", 5) as file:
            file.add(TOKENS[:1])
            yield

    running = steps()
    next(running)
    running.close()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(OutputError, match="folder does not exist"),
        token_file(tmp_path / "none" / "x.npz", "features", 1),
    ):
        pass
