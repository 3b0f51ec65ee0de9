"""What a file is by its bytes, whatever its name says."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from ...errors import CheckpointError

SAFETENSORS, ZIP, PICKLE = "safetensors", "zip", "pickle"
"""The forms a model file can have: safetensors, torch's zip, torch's older pickle."""

MAX_HEADER = 100_000_000
"""Bytes a safetensors header may have; the format's own limit."""

_HEAD = 4096
_LENGTH = 8
"""Bytes of the number that opens a safetensors file: the length of its header."""

_TAR_MAGIC = (257, b"ustar")

_FOREIGN = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"II+\x00", "a BigTIFF image"),
    (b"MM\x00+", "a BigTIFF image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, MATLAB 7.3 ...)"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
)

_TEXTS = (
    ("version https://git-lfs", "a Git LFS pointer, not the file itself: run git lfs pull"),
    ("<!doctype", "a web page, as a failed download leaves: fetch the file again"),
    ("<html", "a web page, as a failed download leaves: fetch the file again"),
)

WANTED = "give a hover_net .tar, a TIAToolbox or Optimus .pth, or a .safetensors of napari-hovernet"
"""What to do, at the end of most messages."""


def identify(path: Path) -> str:
    """Tell the form of a model file, or say what it is instead.

    Returns
    -------
    {"safetensors", "zip", "pickle"}

    Raises
    ------
    CheckpointError
        If it is not there, a folder, empty, cut short, or something else altogether.
    """
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder; choose the model file in it.")
        if not path.is_file():
            raise CheckpointError(
                f"There is no file {path}; check the path, or give the built-in 'compact'."
            )
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise unreadable(path, error) from error
    if not size:
        raise CheckpointError(f"{path.name} is empty (0 bytes); fetch it again.")
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return ZIP
    _refuse_foreign(path, head)
    if head[_LENGTH : _LENGTH + 1] == b"{":
        _check_safetensors(path, head, size)
        return SAFETENSORS
    if head.startswith(b"\x80"):
        return PICKLE
    raise CheckpointError(f"{path.name} is no model file that is known here; {WANTED}.")


def sha256(path: Path) -> str:
    """Hash a file in pieces.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """Say why the system does not give a file."""
    reason = error.strerror or type(error).__name__
    return CheckpointError(
        f"Cannot read {path}: {reason}; check the path and your permission to read it."
    )


def damaged(name: str, detail: object) -> CheckpointError:
    """Say that a file of the right kind is broken."""
    return CheckpointError(f"{name} is damaged or cut short ({detail}); fetch or export it again.")


def _refuse_foreign(path: Path, head: bytes) -> None:
    kind = next((kind for magic, kind in _FOREIGN if head.startswith(magic)), "")
    offset, magic = _TAR_MAGIC
    if head[offset : offset + len(magic)] == magic:
        kind = "a real tar archive (hover_net's .tar is not one): unpack it and look inside"
    if _looks_like_onnx(head):
        kind = "an ONNX model, which holds a graph and not named weights"
    kind = kind or _kind_of_text(head)
    if kind:
        raise CheckpointError(f"{path.name} is {kind}. This is no model file; {WANTED}.")


def _looks_like_onnx(head: bytes) -> bool:
    """ModelProto opens with field 1, a small IR version, then a text or the opset."""
    return (
        head[:1] == b"\x08" and 0 < head[1] < 32 and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"B")
    )


def _kind_of_text(head: bytes) -> str:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character cut by the end of the piece
            return ""
        text = head[: error.start].decode("utf-8")
    if any(ord(c) < 32 and c not in "\t\n\r\f" for c in text):
        return ""
    start = text.lstrip("\ufeff \t\r\n").lower()
    return next((kind for opening, kind in _TEXTS if start.startswith(opening)), "a text file")


def _check_safetensors(path: Path, head: bytes, size: int) -> None:
    length = int.from_bytes(head[:_LENGTH], "little")
    if length > min(size - _LENGTH, MAX_HEADER):
        raise damaged(path.name, f"its header claims {length:,} bytes, the whole file has {size:,}")


def _check_zip(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise damaged(path.name, error) from error
    names = [entry.filename for entry in entries]
    if any(n.endswith("constants.pkl") for n in names) and any("code/" in n for n in names):
        raise CheckpointError(
            f"{path.name} is a TorchScript program, not weights: save the state_dict() of the "
            "network it was made from."
        )
    if not any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
        npz = bool(names) and all(n.endswith(".npy") for n in names)
        kind = "an .npz of numpy arrays" if npz else "a zip archive"
        raise CheckpointError(f"{path.name} is {kind}, not a model file; {WANTED}.")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{path.name} unpacks to more than its own size, which torch.save never does; it "
            "is refused. Fetch it again from where it was published."
        )
