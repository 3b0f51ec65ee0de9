"""MAT results of hover_net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import io as scipy_io

from napari_hovernet.core.io import hover_net as hovernet_mat
from napari_hovernet.core.io.hover_net import read_hovernet_mat, write_hovernet_mat
from napari_hovernet.core.types import Int32, Nuclei
from napari_hovernet.errors import InputError, OutputError


def test_round_trip(tmp_path: Path, labels: Int32, nuclei: Nuclei) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    back = read_hovernet_mat(tmp_path / "n.mat")
    assert np.array_equal(back.labels, labels)
    assert np.array_equal(back.ids, nuclei.label)
    assert np.array_equal(back.type, nuclei.type)
    assert len(back) == 6


def test_the_file_has_the_variables_of_hover_net(
    tmp_path: Path, labels: Int32, nuclei: Nuclei, untyped: Nuclei
) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    content = scipy_io.loadmat(tmp_path / "n.mat")
    assert content["inst_map"].dtype == np.int32
    assert content["inst_uid"].shape == content["inst_type"].shape == (6, 1)
    assert np.allclose(content["inst_centroid"], nuclei.centroid)
    write_hovernet_mat(tmp_path / "u.mat", labels, untyped)
    assert "inst_type" not in scipy_io.loadmat(tmp_path / "u.mat")


def test_no_nuclei_make_a_valid_file(tmp_path: Path, none: Nuclei) -> None:
    write_hovernet_mat(tmp_path / "n.mat", np.zeros((4, 4), np.int32), none)
    assert len(read_hovernet_mat(tmp_path / "n.mat")) == 0


def test_ids_with_gaps_in_any_order_keep_their_type(tmp_path: Path) -> None:
    content = {
        "inst_map": np.array([[9.0, 0.0], [4.0, 4.0]]),
        "inst_uid": np.array([[12, 9, 4]]),
        "inst_type": np.array([[3], [2], [1]]),
    }
    scipy_io.savemat(tmp_path / "n.mat", content)
    back = read_hovernet_mat(tmp_path / "n.mat")
    assert back.ids.tolist() == [4, 9]
    assert back.type.tolist() == [1, 2]
    assert back.notes == ("1 ids of inst_uid have no pixel in inst_map",)


def test_a_label_file_without_uid_is_read(tmp_path: Path) -> None:
    scipy_io.savemat(tmp_path / "n.mat", {"inst_map": np.eye(3)})
    assert read_hovernet_mat(tmp_path / "n.mat").ids.tolist() == [1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"other": np.eye(2)}, "no inst_map, only other"),
        ({"inst_map": np.eye(2) * -1}, "runs from -1"),
        ({"inst_map": np.eye(2) * 0.5}, "fractions"),
        ({"inst_map": np.zeros((2, 2, 2))}, "shape"),
        ({"inst_map": np.array(["a"], object)}, "dtype"),
        ({"inst_map": np.eye(2), "inst_uid": [[5]]}, "lacks 1 of the 1 ids"),
        ({"inst_map": np.eye(2), "inst_uid": [[1]], "inst_type": [[1], [2]]}, "2 rows for 1"),
        ({"inst_map": np.eye(2), "inst_uid": [[1]], "inst_type": [[-3]]}, "inst_type runs"),
    ],
)
def test_broken_content_is_refused_by_name(tmp_path: Path, content: dict, said: str) -> None:
    scipy_io.savemat(tmp_path / "given.mat", content)
    with pytest.raises(InputError, match=said) as caught:
        read_hovernet_mat(tmp_path / "given.mat")
    assert "given.mat" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 60, 127, 128, 140, 200, -7])
def test_a_file_cut_off_anywhere_is_refused(
    tmp_path: Path, labels: Int32, nuclei: Nuclei, keep: int
) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    whole = (tmp_path / "n.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"cut\.mat"):
        read_hovernet_mat(tmp_path / "cut.mat")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, labels: Int32, nuclei: Nuclei, seed: int
) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    content = bytearray((tmp_path / "n.mat").read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(content), 8):
        content[at] = rng.integers(0, 256)
    (tmp_path / "n.mat").write_bytes(bytes(content))
    try:
        read_hovernet_mat(tmp_path / "n.mat")
    except InputError as error:
        assert "n.mat" in str(error)


def test_hdf5_says_how_to_save(tmp_path: Path) -> None:
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "n.mat").write_bytes(header + bytes(512))
    with pytest.raises(InputError, match="-v7"):
        read_hovernet_mat(tmp_path / "n.mat")


def test_sizes_beyond_the_format_are_refused(
    tmp_path: Path, labels: Int32, nuclei: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    monkeypatch.setattr(hovernet_mat, "MAX_MAT_PIXELS", 100)
    with pytest.raises(InputError, match="claims to be"):
        read_hovernet_mat(tmp_path / "n.mat")
    with pytest.raises(OutputError, match="use the label TIFF"):
        write_hovernet_mat(tmp_path / "m.mat", labels, nuclei)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_hovernet_mat(tmp_path / "none.mat")
