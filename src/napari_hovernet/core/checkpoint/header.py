"""The JSON header of our own files: one entry in the safetensors metadata."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

import numpy as np
import torch

from ..._version import __version__
from ...errors import CheckpointError, InputError
from ..hv import PRESETS
from ..networks.registry import Network, build
from ..types import ModelInfo, TypeInfo

KEY = "napari_hovernet"
"""Name of the metadata entry that holds the header."""

SCHEMA = 1
"""Version of the header's form; a file with a higher one is refused."""

KIND = "napari-hovernet"

MPP_RANGE = (0.01, 100.0)
"""Micrometres per pixel that a model may claim."""

MAX_CONFIG_LIST = 32
MAX_CONFIG_NUMBER = 65536
"""Bounds on a network's build arguments: more is a broken or hostile file."""

MAX_TYPES = 1000


def dump(info: ModelInfo) -> str:
    """Write what is known of a model as one line of JSON, the same for the same model.

    NaN and infinite numbers (a diverged loss in the history) become null, paths and other values
    JSON does not know become text.
    """
    origin = [dict(step) for step in info.origin]
    if info.sha256:
        name = PurePath(info.source).name
        origin.append({"file": name, "kind": info.file_kind, "sha256": info.sha256})
    data = {
        "schema": SCHEMA,
        "created_by": f"napari-hovernet {__version__}",
        "architecture": info.architecture,
        "config": info.config,
        "mode": info.mode,
        "types": [
            {"index": i, "name": t.name, "color": list(t.color)}
            for i, t in sorted(info.types.items())
        ],
        "mpp": info.mpp,
        "hv_convention": info.hv_convention,
        "licence": info.licence,
        "training": info.training,
        "history": info.history,
        "notes": info.notes,
        "origin": origin,
        "source_sha256": origin[0]["sha256"] if origin else "",
    }
    return json.dumps(jsonable(data), sort_keys=True, allow_nan=False)


def jsonable(value: Any) -> Any:
    """Turn a value into what JSON knows; see :func:`dump`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return jsonable(value.tolist())
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [jsonable(v) for v in value]
    return str(value)


def parse(text: str, name: str) -> ModelInfo:
    """Read a header back, checking every value."""
    return _Header(text, name).info()


class _Header:
    """The parsed JSON with checked access."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{name} has a header that is not JSON ({error}); the file is damaged: "
                "fetch or export it again."
            ) from error
        if not isinstance(data, dict):
            self.data = {}
            self.fail("header", data, "an object")
        self.data = data
        schema = self.get("schema", int)
        if schema > SCHEMA:
            raise CheckpointError(
                f"{name} was written by a newer version ({data.get('created_by')}, header "
                f"schema {schema}; this version reads up to {SCHEMA}): update napari-hovernet."
            )

    def fail(self, field: str, value: object, wanted: str) -> NoReturn:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise CheckpointError(
            f"{self.name} has {field} {shown} in its header, which should be {wanted}; the file "
            "is damaged or was not written by napari-hovernet: export it again."
        )

    def get(self, field: str, kind: type, default: Any = None) -> Any:
        value = self.data.get(field, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(field, value, f"of kind {kind.__name__}")
        return value

    def info(self) -> ModelInfo:
        history = self.get("history", list, [])
        if not all(isinstance(step, dict) for step in history):
            self.fail("history", history, "a list of objects")
        notes = self.get("notes", list, [])
        if not all(isinstance(note, str) for note in notes):
            self.fail("notes", notes, "a list of texts")
        return ModelInfo(
            architecture=self.get("architecture", str),
            mode=self.get("mode", str, ""),
            types=self.types(),
            mpp=self.mpp(),
            hv_convention=self.hv_convention(),
            licence=self.get("licence", str, ""),
            file_kind=KIND,
            config=self.config(),
            training=self.get("training", dict, {}),
            history=tuple(history),
            notes=tuple(notes),
            origin=self.origin(),
        )

    def config(self) -> dict[str, Any]:
        config = self.get("config", dict)
        for key, value in config.items():
            many = isinstance(value, list)
            if many and len(value) > MAX_CONFIG_LIST:
                self.fail(f"config {key}", value, f"at most {MAX_CONFIG_LIST} long")
            for part in value if many else [value]:
                if part is not None and not isinstance(part, bool | int | float | str):
                    self.fail(f"config {key}", value, "a plain value or a list of such")
                if isinstance(part, int | float) and not abs(part) <= MAX_CONFIG_NUMBER:
                    self.fail(f"config {key}", value, f"at most {MAX_CONFIG_NUMBER}")
        return dict(config)

    def types(self) -> dict[int, TypeInfo]:
        found: dict[int, TypeInfo] = {}
        entries = self.get("types", list, [])
        if len(entries) > MAX_TYPES:
            self.fail("types", entries, f"at most {MAX_TYPES}")
        for entry in entries:
            if not _is_type(entry) or entry["index"] != len(found):
                wanted = "an object with index (0, 1, 2 ...), name and color ([r, g, b], 0..255)"
                self.fail(f"type {len(found)}", entry, wanted)
            found[entry["index"]] = TypeInfo(entry["name"], tuple(entry["color"]))
        return found

    def mpp(self) -> float | None:
        value = self.data.get("mpp")
        if value is None:
            return None
        low, high = MPP_RANGE
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            self.fail("mpp", value, f"null or {low:g} to {high:g} micrometres per pixel")
        return float(value)

    def hv_convention(self) -> str:
        value = str(self.get("hv_convention", str))
        if value not in PRESETS:
            self.fail("hv_convention", value, f"one of {', '.join(PRESETS)}")
        return value

    def origin(self) -> tuple[dict[str, str], ...]:
        steps = self.get("origin", list, [])
        for step in steps:
            if not isinstance(step, dict) or not all(isinstance(v, str) for v in step.values()):
                self.fail("origin", step, "a list of objects of texts")
        return tuple(steps)


def _is_type(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    index, color = entry.get("index"), entry.get("color")
    if not isinstance(index, int) or isinstance(index, bool):
        return False
    return (
        isinstance(color, list)
        and len(color) == 3
        and all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c <= 255 for c in color)
    )


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
    """Tell the form of a model file, or say what it is instead."""
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
    """Hash a file in pieces."""
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


SHOWN = 10
"""Names that a message lists before it only counts."""


def blank(info: ModelInfo, name: str) -> Network:
    """Build the network a file describes, on the meta device: shapes without memory."""
    try:
        with torch.device("meta"):
            return build(info.architecture, info.config).eval()
    except (InputError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(
            f"{name} describes a network that cannot be built: {error} "
            "Export it again, or update napari-hovernet."
        ) from error


def fitted(
    network: Network, state: Mapping[str, torch.Tensor], info: ModelInfo, name: str
) -> dict[str, torch.Tensor]:
    """Check weights against their network and bring them to its dtypes."""
    wanted = network.state_dict()
    _check_names(wanted, state, info, name)
    result = {key: _copied(state[key], wanted[key].dtype) for key in wanted}
    _check_values(result, name)
    return result


def finite(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor on the CPU holds neither NaN nor infinite values; one pass.

    A sum in float64 cannot overflow from float32, and one bad value spoils it.
    """
    values = (
        tensor.detach().to(torch.float32) if tensor.dtype == torch.bfloat16 else tensor.detach()
    )
    return math.isfinite(float(values.numpy().sum(dtype=np.float64)))


def looks_like(info: ModelInfo) -> str:
    """Describe a model in a few words."""
    n_types = info.config.get("n_types")
    parts = [info.mode] if info.mode else []
    parts.append(f"{n_types} types" if n_types else "no types")
    return f"{info.architecture} ({', '.join(parts)})"


def _check_names(
    wanted: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    info: ModelInfo,
    name: str,
) -> None:
    shared = [key for key in wanted if key in state]
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in shared
        if state[key].shape != wanted[key].shape
    ]
    dtypes = [
        f"{key} {state[key].dtype}" for key in shared if not _castable(state[key], wanted[key])
    ]
    faults = [
        _listed("missing", [key for key in wanted if key not in state]),
        _listed("unexpected", [key for key in state if key not in wanted]),
        _listed("of another shape", shapes),
        _listed("of a dtype that does not fit", dtypes),
    ]
    if any(faults):
        raise CheckpointError(
            f"{name} looks like {looks_like(info)} but does not fit it: "
            f"{'; '.join(fault for fault in faults if fault)}. Nothing was loaded; it is "
            "damaged, or a variant of the network that is not known here."
        )


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"


def _castable(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    if found.layout != torch.strided or found.is_quantized:
        return False
    return found.is_floating_point() == wanted.is_floating_point() and not found.is_complex()


def _copied(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.detach().to(dtype, copy=True, memory_format=torch.contiguous_format)


def _check_values(state: Mapping[str, torch.Tensor], name: str) -> None:
    floats = {key: value for key, value in state.items() if value.is_floating_point()}
    broken = [key for key, value in floats.items() if not finite(value)]
    negative = [
        key for key, value in floats.items() if key.endswith("running_var") and value.min() < 0
    ]
    unpool = [key for key, v in floats.items() if "unpool" in key and not bool((v == 1).all())]
    faults = [
        _listed("with NaN or infinite values", broken),
        _listed("with a negative variance", negative),
        _listed("of unpooling that are not all ones", unpool),
    ]
    if any(faults):
        raise CheckpointError(
            f"{name} has weights that cannot work: "
            f"{'; '.join(fault for fault in faults if fault)}. The training diverged or the file "
            "is damaged: take an earlier checkpoint."
        )
