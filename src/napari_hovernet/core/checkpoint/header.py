"""The JSON header of our own files: one entry in the safetensors metadata."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import os
import reprlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

import numpy as np
import torch

from ..._version import __version__
from ...errors import CheckpointError, InputError, plain
from ..hv import PRESETS
from ..io.files import jsonable, readable
from ..limits import check_file
from ..networks.registry import Network, build
from ..types import ModelInfo, TypeInfo
from ..weights import offered

KEY = "napari_hovernet"
"""Name of the metadata entry that holds the header."""

CHECKSUM = "weights_sha256"
"""Member of the header that holds the checksum of the weights."""

SCHEMA = 1
"""Version of the header's form; a file with a higher one is refused."""

KIND = "napari-hovernet"

MPP_RANGE = (0.01, 100.0)
"""Micrometres per pixel that a model may claim."""

MAX_CONFIG_LIST = 32
MAX_CONFIG_NUMBER = 65536
"""Bounds on a network's build arguments: more is a broken or hostile file."""

MAX_TYPES = 1000
MAX_NOTE = 1000
"""Characters of a note that are kept."""


def dump(info: ModelInfo) -> str:
    """Write what is known of a model as one line of JSON, the same for the same model."""
    origin = [dict(step) for step in info.origin]
    if info.sha256:
        name = PurePath(info.source).name
        origin.append({"file": name, "kind": info.file_kind, "sha256": info.sha256})
    types = [{"index": i, "name": t.name, "color": list(t.color)}
             for i, t in sorted(info.types.items())]  # fmt: skip
    own = {name: getattr(info, name) for name in _FIELDS if name not in ("schema", "types")}
    data = {**own, "schema": SCHEMA, "created_by": f"napari-hovernet {__version__}", "types": types,
            "origin": origin, "source_sha256": origin[0]["sha256"] if origin else ""}  # fmt: skip
    return json.dumps(jsonable(data), sort_keys=True, allow_nan=False)


def parse(text: str, name: str) -> ModelInfo:
    """Read a header back, checking every value."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{name} has a header that is not JSON ({plain(error)}); the file is damaged: fetch or "
            "export it again."
        ) from error
    if not isinstance(data, dict):
        _fail(name, "header", data, "an object")
    _check(data, name, "schema")
    if data["schema"] > SCHEMA:
        raise CheckpointError(
            f"{name} was written by a newer version ({data.get('created_by')}, header schema "
            f"{data['schema']}; this version reads up to {SCHEMA}): update napari-hovernet."
        )
    found = {field: _check(data, name, field) for field in _FIELDS if field != "schema"}
    for key, value in found["config"].items():
        if not _is_argument(value):
            limits = f"lists up to {MAX_CONFIG_LIST} long, numbers up to {MAX_CONFIG_NUMBER}"
            _fail(name, f"config {key}", value, f"a plain value or a list of such ({limits})")
    for i, entry in enumerate(found["types"]):
        if not _is_type(entry, i):
            wanted = "an object with index (0, 1, 2 ...), name and color ([r, g, b], 0..255)"
            _fail(name, f"type {i}", entry, wanted)
    types = {t["index"]: TypeInfo(plain(t["name"]), tuple(t["color"])) for t in found.pop("types")}
    found |= {field: plain(found[field]) for field in ("licence", "architecture", "mode")}
    found["notes"] = [plain(note, MAX_NOTE) for note in found["notes"]]
    found |= {field: tuple(found[field]) for field in ("history", "notes", "origin")}
    found["mpp"] = None if found["mpp"] is None else float(found["mpp"])
    return ModelInfo(types=types, file_kind=KIND, **found)


def _is_number(value: object, kind: type = int) -> bool:
    return isinstance(value, int | kind) and not isinstance(value, bool)


def _list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(v, kind) for v in value)


def _is_argument(value: Any) -> bool:
    """Whether a value may be an argument a network is built with."""
    parts = value if isinstance(value, list) else [value]
    return len(parts) <= MAX_CONFIG_LIST and all(
        part is None or isinstance(part, str) or
        (isinstance(part, int | float) and abs(part) <= MAX_CONFIG_NUMBER) for part in parts
    )  # fmt: skip


def _is_type(entry: Any, index: int) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    color = entry.get("color")
    numbers = [entry.get("index"), *color] if isinstance(color, list) else []
    return (
        len(numbers) == 4
        and all(map(_is_number, numbers))
        and numbers[0] == index
        and all(0 <= c <= 255 for c in numbers[1:])
    )


_TEXT: tuple[Callable[[Any], bool], str] = (lambda v: isinstance(v, str), "a text")
_OBJECT: tuple[Callable[[Any], bool], str] = (lambda v: isinstance(v, dict), "an object")
_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str, Any]] = {
    "schema": (_is_number, "a whole number", None),
    "architecture": (*_TEXT, None),
    "mode": (*_TEXT, ""),
    "licence": (*_TEXT, ""),
    "hv_convention": (lambda v: v in tuple(PRESETS), f"one of {', '.join(PRESETS)}", None),
    "mpp": (
        lambda v: v is None or (_is_number(v, float) and MPP_RANGE[0] <= v <= MPP_RANGE[1]),
        "null or {:g} to {:g} micrometres per pixel".format(*MPP_RANGE),
        None,
    ),
    "config": (*_OBJECT, None),
    "training": (*_OBJECT, {}),
    "types": (lambda v: isinstance(v, list) and len(v) <= MAX_TYPES, "a list of types", []),
    "history": (_list_of(dict), "a list of objects", []),
    "notes": (_list_of(str), "a list of texts", []),
    "origin": (
        lambda v: _list_of(dict)(v) and all(_list_of(str)([*step.values()]) for step in v),
        "a list of objects of texts",
        [],
    ),
}
"""What each field of a header must be, in words too, and what it is where it is missing."""


def _check(data: dict[str, Any], name: str, field: str) -> Any:
    fits, wanted, default = _FIELDS[field]
    value = data.get(field, default)
    if not fits(value):
        _fail(name, field, value, wanted)
    return value


def _fail(name: str, field: str, value: object, wanted: str) -> NoReturn:
    shown = plain(reprlib.repr(value), 60)
    raise CheckpointError(
        f"{name} has {field} {shown} in its header, which should be {wanted}; the file is damaged "
        "or was not written by napari-hovernet: export it again."
    )


SAFETENSORS, ZIP, PICKLE = "safetensors", "zip", "pickle"
"""The forms a model file can have: safetensors, torch's zip, torch's older pickle."""

MAX_FILE = 2**35
"""Bytes of the largest file that is taken for a model."""
MAX_HEADER = 100_000_000
"""Bytes a safetensors header may have; the format's own limit."""

_HEAD = 4096
_LENGTH = 8
"""Bytes of the number that opens a safetensors file: the length of its header."""
_TAR_AT = 257
"""Where a tar archive says that it is one."""

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
    if not os.path.lexists(path):
        built_in = " or ".join(map(repr, offered()))
        raise CheckpointError(
            f"There is no file {path}; check the path, or give the built-in {built_in}."
        )
    try:
        size = check_file(path, "a model file", MAX_FILE)
        with readable(path), path.open("rb") as file:
            head = file.read(_HEAD)
    except InputError as error:
        raise CheckpointError(str(error)) from error
    if not size:
        raise CheckpointError(f"{path.name} is empty (0 bytes); fetch it again.")
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return ZIP
    _refuse_foreign(path, head)
    if head[_LENGTH : _LENGTH + 1] == b"{":
        length = int.from_bytes(head[:_LENGTH], "little")
        if length > min(size - _LENGTH, MAX_HEADER):
            what = f"its header claims {length:,} bytes, the whole file has {size:,}"
            raise damaged(path.name, what)
        return SAFETENSORS
    if head.startswith(b"\x80"):
        return PICKLE
    raise CheckpointError(f"{path.name} is no model file that is known here; {WANTED}.")


def sha256(path: Path) -> str:
    """Hash a file in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(name: str, detail: object) -> CheckpointError:
    """Say that a file of the right kind is broken."""
    return CheckpointError(
        f"{name} is damaged or cut short ({plain(detail)}); fetch or export it again."
    )


def _refuse_foreign(path: Path, head: bytes) -> None:
    kind = next((kind for magic, kind in _FOREIGN if head.startswith(magic)), "")
    if head[_TAR_AT:].startswith(b"ustar"):
        kind = "a real tar archive (hover_net's .tar is not one): unpack it and look inside"
    # An ONNX ModelProto opens with field 1, a small IR version, then a text or the opset
    if head[:1] == b"\x08" and 0 < head[1] < 32 and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"B"):
        kind = "an ONNX model, which holds a graph and not named weights"
    kind = kind or _kind_of_text(head)
    if kind:
        raise CheckpointError(f"{path.name} is {kind}. This is no model file; {WANTED}.")


def _kind_of_text(head: bytes) -> str:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # cut within a character
    except UnicodeDecodeError:
        return ""
    if any(ord(c) < 32 and c not in "\t\n\r\f" for c in text):
        return ""
    start = text.lstrip("\ufeff \t\r\n").lower()
    return next((kind for opening, kind in _TEXTS if start.startswith(opening)), "a text file")


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
    if not any(n.rpartition("/")[2] == "data.pkl" for n in names):
        npz = bool(names) and all(n.endswith(".npy") for n in names)
        kind = "an .npz of numpy arrays" if npz else "a zip archive"
        raise CheckpointError(f"{path.name} is {kind}, not a model file; {WANTED}.")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{path.name} unpacks to more than its own size, which torch.save never does; it "
            "is refused. Fetch it again from where it was published."
        )


MAX_WEIGHT = 1e12
"""Largest weight that is taken for real; trained ones stay below 1e5, and products overflow."""
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
    shared = [key for key in wanted if key in state]
    found = _listed({
        "missing": [key for key in wanted if key not in state],
        "unexpected": [key for key in state if key not in wanted],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}"
            for key in shared
            if state[key].shape != wanted[key].shape
        ],
        "of a dtype that does not fit": [
            f"{key} {state[key].dtype}{' without values' * state[key].is_meta}"
            for key in shared
            if not _castable(state[key], wanted[key])
        ],
    })  # fmt: skip
    if found:
        raise CheckpointError(
            f"{name} looks like {looks_like(info)} but does not fit it: {found}. Nothing was "
            "loaded; it is damaged, or a variant of the network that is not known here."
        )
    plain = torch.contiguous_format
    result = {
        key: state[key].detach().to(old.dtype, copy=True, memory_format=plain)
        for key, old in wanted.items()
    }
    floats = {key: value for key, value in result.items() if value.is_floating_point()}
    found = _listed({
        "with values too large to compute with": [
            k for k, v in floats.items() if finite(v) and v.numel() and v.abs().max() > MAX_WEIGHT
        ],
        "with NaN or infinite values": [k for k, v in floats.items() if not finite(v)],
        "with a negative variance": [
            k for k, v in floats.items() if k.endswith("running_var") and v.min() < 0
        ],
        "of unpooling that are not all ones": [
            k for k, v in floats.items() if "unpool" in k and not bool((v == 1).all())
        ],
    })  # fmt: skip
    if found:
        raise CheckpointError(
            f"{name} has weights that cannot work: {found}. The training diverged or the file is "
            "damaged: take an earlier checkpoint."
        )
    return result


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """Hash weights as they are stored, with their names, whatever their order."""
    made = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().contiguous()
        made.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        made.update(value.view(-1).view(torch.uint8).numpy().tobytes())
    return made.hexdigest()


def finite(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor on the CPU is finite: one bad value spoils its sum in float64."""
    values = tensor.detach()
    values = values.float() if values.dtype == torch.bfloat16 else values
    return math.isfinite(float(values.numpy().sum(dtype=np.float64)))


def looks_like(info: ModelInfo) -> str:
    """Describe a model in a few words."""
    n_types = info.config.get("n_types")
    parts = [info.mode] if info.mode else []
    parts.append(f"{n_types} types" if n_types else "no types")
    return f"{info.architecture} ({', '.join(parts)})"


def _listed(faults: Mapping[str, Sequence[str]]) -> str:
    texts = []
    for what, names in faults.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        shown = plain(", ".join(names[:SHOWN]), 600)
        texts += [f"{len(names)} {what} ({shown}{more})"] if names else []
    return "; ".join(texts)


def _castable(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    plain = found.layout == torch.strided and not found.is_quantized and not found.is_complex()
    plain = plain and found.device.type == "cpu"  # a meta tensor has no values
    return plain and found.is_floating_point() == wanted.is_floating_point()
