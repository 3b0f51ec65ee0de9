"""Arrays in files: what they are, a plane at a time, never unpickled."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core import limits
from napari_hovernet.core.data import stores
from napari_hovernet.core.data.stores import DiskArray, npz_members, open_member, open_npy, stack_of

from ...refusals import refuses

N, SIZE = 5, (16, 20)


def stacks() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 255, (N, *SIZE, 3), np.uint8),
        "inst_maps": rng.integers(0, 9, (N, *SIZE)).astype(np.int32),
        "hv_targets": rng.integers(-127, 127, (N, 2, *SIZE)).astype(np.int8),
        "np_targets": rng.integers(0, 2, (N, *SIZE)).astype(np.float16),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_planes_come_as_they_are_stored(tmp_path: Path, save: Any) -> None:
    file, given = tmp_path / "x.npz", stacks()
    save(file, **given)
    stack = stack_of([file])
    names = {"image": "images", "labels": "inst_maps", "hv": "hv_targets", "np": "np_targets"}
    assert (set(stack.parts), stack.n, stack.kind) == (set(names), N, "targets")
    for part, name in names.items():
        found = stack.parts[part].read(3)
        assert found.dtype == given[name].dtype
        np.testing.assert_array_equal(found, given[name][3])


def test_large_compressed_arrays_are_unpacked_image_by_image(tmp_path, monkeypatch) -> None:
    given = np.random.default_rng(0).integers(0, 3, (256, 128, 128)).astype(np.int32)
    file = tmp_path / "x.npz"
    np.savez(tmp_path / "plain.npz", inst_maps=given)
    np.savez_compressed(file, inst_maps=given)
    mapped = stack_of([tmp_path / "plain.npz"]).parts["labels"]
    tracemalloc.start()
    for index in (3, 250, 7):
        np.testing.assert_array_equal(mapped.read(index), given[index])
    monkeypatch.setattr(stores, "STREAMED", 1000)
    monkeypatch.setattr(stores, "open_member", lambda *_: pytest.fail("the whole array was read"))
    stored = stack_of([file]).parts["labels"]
    for index in (3, 250, 7):
        np.testing.assert_array_equal(stored.read(index), given[index])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < given.nbytes / 2


def test_python_objects_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("it was unpickled",))

    ragged = np.empty(N, object)
    ragged[:] = [Trap() for _ in range(N)]
    file = tmp_path / "x.npz"
    np.savez(file, images=stacks()["images"], inst_maps=ragged)
    stack = stack_of([file])
    assert (stack.n, stack.parts["labels"].read(2).dtype) == (N, object)
    assert "inst_maps holds Python objects" in stack.notes[0]
    alone = tmp_path / "y.npz"
    np.savez(alone, inst_maps=ragged)
    refuses("never opened; save plain numbers", stack_of, [alone])
    refuses("inst_maps holds Python objects", open_member, alone, "inst_maps")
    assert list(npz_members(file)) == ["images"]
    np.save(tmp_path / "a.npy", ragged, allow_pickle=True)
    refuses(r"a\.npy holds Python objects", open_npy, tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"image": np.zeros((*SIZE, 3), np.uint8)}, {"image"}),
        ({"images": np.zeros((N, *SIZE), np.uint8)}, {"image"}),
        ({"HV": np.zeros((2, *SIZE)), "prob": np.zeros(SIZE)}, {"hv", "np"}),
        ({"np": np.zeros((2, *SIZE)), "hv": np.zeros((2, *SIZE))}, {"hv", "np"}),
        ({"np_pred": np.zeros((N, 2, *SIZE)), "hv_pred": np.zeros((N, *SIZE, 2))}, {"hv", "np"}),
        ({"masks": np.zeros((N, *SIZE, 6))}, {"masks"}),
        ({"instances": np.zeros((N, *SIZE), int)}, {"labels"}),
        ({"features": np.zeros((N, 261, 8), np.float16)}, {"features"}),
    ],
)
def test_what_an_array_is(tmp_path: Path, arrays: Any, parts: set[str]) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, **arrays)
    stack = stack_of([file])
    assert set(stack.parts) == parts
    for name, stored in stack.parts.items():
        wanted = {"masks": 3, **stores.AXES}[name]
        assert stored.read(0).ndim in (wanted, wanted - (name == "image"))


def test_what_does_not_fit_is_said(tmp_path) -> None:
    prob = np.stack([np.zeros((N, *SIZE)), np.ones((N, *SIZE))], axis=1)
    np.savez(tmp_path / "x.npz", np_pred=prob)
    stack = stack_of([tmp_path / "x.npz"])
    assert stack.parts["np"].read(1).min() == 1 and stack.kind == "maps"
    assert "two channels" in stack.notes[0]
    file = tmp_path / "x.npz"
    np.savez(file, images=np.zeros((N, *SIZE, 3)), inst_maps=np.zeros((N + 1, *SIZE)))
    refuses(r"Numbers of images differ \(x\.npz: images 5", lambda: stack_of([file]).n)
    np.savez(file, weights=np.zeros(3))
    refuses(r"nothing in it that .*weights.*called images", stack_of, [file])
    np.savez(file, images=np.zeros((N, *SIZE, 3)), types=np.array(["a", "b"]))
    assert "types of shape (2,)" in stack_of([file]).notes[0]


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez_compressed(file, inst_maps=np.random.default_rng(0).integers(0, 9, (N, 64, 64)))
    stored = stack_of([file]).parts["labels"]
    data = bytearray(file.read_bytes())
    data[200:300] = bytes(100)
    file.write_bytes(bytes(data))
    refuses(r"x\.npz.*damaged or cut off", stored.read, 1)


ARRAY = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_uncompressed_member_stays_on_the_disk(tmp_path: Path, order: str) -> None:
    np.savez(tmp_path / "a.npz", first=np.ones(3), layer_24=np.asarray(ARRAY, order=order))
    array = open_member(tmp_path / "a.npz", "layer_24")
    assert isinstance(array, DiskArray) and array.dtype == np.float16
    assert (np.asarray(array) == ARRAY).all() and (array[1] == ARRAY[1]).all()


def test_a_compressed_member_is_read_once_as_it_is_stored(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=ARRAY)
    array = open_member(tmp_path / "a.npz", "x")
    assert array.dtype == np.float16 and (array == ARRAY).all()
    assert open_member(tmp_path / "a.npz", "x") is array and not array.flags.writeable
    assert npz_members(tmp_path / "a.npz")["x"].offset is None


def test_one_too_large_for_the_memory_is_refused(tmp_path, monkeypatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((100, 100)))
    monkeypatch.setattr(limits, "free_memory", lambda: 100_000)
    refuses("save it uncompressed", open_member, tmp_path / "a.npz", "x")


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.zeros(3))
    assert np.asarray(open_npy(file)).sum() == 0
    file.unlink()
    np.save(file, np.ones(3))
    os.utime(file, (1, 1))
    assert np.asarray(open_npy(file)).sum() == 3


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
