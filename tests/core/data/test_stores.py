"""Arrays in files: mapped where they can be, never unpickled."""

from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core import limits
from napari_hovernet.core.data.stores import DiskArray, npz_members, open_member, open_npy

from ...refusals import refuses

ARRAY = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_uncompressed_member_stays_on_the_disk(tmp_path: Path, order: str) -> None:
    np.savez(tmp_path / "a.npz", first=np.ones(3), layer_24=np.asarray(ARRAY, order=order))
    array = open_member(tmp_path / "a.npz", "layer_24")
    assert isinstance(array, DiskArray)
    assert array.dtype == np.float16
    assert (np.asarray(array) == ARRAY).all()
    assert (array[1] == ARRAY[1]).all()


def test_a_compressed_member_is_read_once_as_it_is_stored(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=ARRAY)
    array = open_member(tmp_path / "a.npz", "x")
    assert array.dtype == np.float16
    assert (array == ARRAY).all()
    assert open_member(tmp_path / "a.npz", "x") is array
    assert not array.flags.writeable
    assert npz_members(tmp_path / "a.npz")["x"].offset is None


def test_one_too_large_for_the_memory_is_refused(tmp_path, monkeypatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((100, 100)))
    monkeypatch.setattr(limits, "free_memory", lambda: 100_000)
    refuses("save it uncompressed", open_member, tmp_path / "a.npz", "x")


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    import os  # noqa: PLC0415

    file = tmp_path / "a.npy"
    np.save(file, np.zeros(3))
    assert np.asarray(open_npy(file)).sum() == 0
    file.unlink()
    np.save(file, np.ones(3))
    os.utime(file, (1, 1))
    assert np.asarray(open_npy(file)).sum() == 3


def test_objects_are_never_opened(tmp_path: Path) -> None:
    objects = np.array([{}], object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=objects, y=ARRAY)
    refuses(r"a\.npy holds Python objects", open_npy, tmp_path / "a.npy")
    refuses("x holds Python objects", open_member, tmp_path / "a.npz", "x")
    assert list(npz_members(tmp_path / "a.npz")) == ["y"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x93NUMPY", b"just text"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    for name, use in (("a.npy", open_npy), ("a.npz", npz_members)):
        (tmp_path / name).write_bytes(content)
        refuses(name, use, tmp_path / name)


def test_what_is_not_there_or_cut_off_is_named(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", x=ARRAY)
    refuses("no array 'z', only x", open_member, tmp_path / "a.npz", "z")
    refuses("is not there", open_npy, tmp_path / "b.npy")
    np.save(tmp_path / "a.npy", ARRAY)
    np.savez(tmp_path / "a.npz", x=np.zeros(5000))
    for name, use in (("a.npy", open_npy), ("a.npz", npz_members)):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-20])
        refuses(rf"{name}.*damaged or cut off", use, tmp_path / name)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_file_that_is_cut_off_while_it_is_open_is_named(tmp_path: Path, ending: str) -> None:
    """A mapped one would end the process (SIGBUS)."""
    path, values = tmp_path / f"a.{ending}", np.arange(3 * 10_000).reshape(3, 100, 100)
    np.save(path, values) if ending == "npy" else np.savez(path, a=values)
    array = open_npy(path) if ending == "npy" else open_member(path, "a")
    np.testing.assert_array_equal(array[1], values[1])
    np.testing.assert_array_equal(array[-1], values[2])
    np.testing.assert_array_equal(np.asarray(array), values)
    with path.open("r+b") as file:
        file.truncate(100_000)
    np.testing.assert_array_equal(array[0], values[0])
    refuses("was cut off meanwhile", lambda: array[2])
