import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint.header import identify, sha256
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses

ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + bytes(64)


def real_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("weights.txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


def zipped(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


FOREIGN = {
    "PNG image": b"\x89PNG\r\n\x1a\n" + bytes(32),
    "JPEG image": b"\xff\xd8\xff\xe0" + bytes(32),
    "TIFF image": b"II*\x00" + bytes(32),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(32),
    "ONNX": ONNX,
    "real tar archive": real_tar(),
    "gzip archive": b"\x1f\x8b\x08" + bytes(32),
    "numpy array": b"\x93NUMPY\x01\x00" + bytes(32),
    "text file": b"np,hv\n0.5,0.25\n",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "web page": b"<!DOCTYPE html><html>404</html>",
    "npz of numpy arrays": npz(),
    "zip archive": zipped(a=b"abc"),
    "no model file": bytes(range(1, 200)) + bytes(50),
}


@pytest.mark.parametrize("what", sorted(FOREIGN))
def test_another_kind_of_file_is_named(what, tmp_path):
    path = tmp_path / "model.tar"
    path.write_bytes(FOREIGN[what])
    refuses(f"(?i){what}", identify, path, by=CheckpointError)


def test_what_is_no_model_file_is_named(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(zipped(**{"m__data.pkl": b"", "m__constants.pkl": b"", "m__code__x.py": b""}))
    refuses("TorchScript", identify, path, by=CheckpointError)
    refuses(r"no file .*built-in .*'compact'", identify, tmp_path / "none.pth", by=CheckpointError)
    refuses("is a folder", identify, tmp_path, by=CheckpointError)
    (tmp_path / "m.pth").touch()
    refuses("empty", identify, tmp_path / "m.pth", by=CheckpointError)
    path = tmp_path / "m.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(1_000_000))
    refuses("unpacks to more than its own size", identify, path, by=CheckpointError)


@pytest.mark.parametrize("length", [2**63, 10**6, 2**40])
def test_a_safetensors_header_longer_than_the_file(length, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{" + bytes(100))
    refuses("header claims", identify, path, by=CheckpointError)


def test_forms_are_told_by_content_and_hashed_by_bytes(tmp_path):
    new, old = tmp_path / "a.safetensors", tmp_path / "b.png"
    torch.save({}, new)
    torch.save({}, old, _use_new_zipfile_serialization=False)
    assert (identify(new), identify(old)) == ("zip", "pickle")
    path = tmp_path / "m"
    path.write_bytes(b"abc")
    assert sha256(path) == hashlib.sha256(b"abc").hexdigest()
