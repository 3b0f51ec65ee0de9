"""The JSON header of our own files: one entry in the safetensors metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NoReturn

from ... import __version__
from ...errors import CheckpointError
from ..hv import PRESETS
from ..model import ModelInfo
from ..types import TypeInfo

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

    NaN and infinite numbers (a diverged loss in the history) become null, paths and other
    values JSON does not know become text.
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
    """Turn a value into what JSON knows; see :func:`dump`.

    Examples
    --------
    >>> jsonable({"lr": float("nan"), "widths": (16, 32)})
    {'lr': None, 'widths': [16, 32]}
    """
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
    """Read a header back, checking every value.

    Parameters
    ----------
    text : str
        JSON.
    name : str
        The file's name, for messages.

    Returns
    -------
    ModelInfo
        Without parameters, source and sha256, which are the file's, not the header's.

    Raises
    ------
    CheckpointError
        If it is not JSON, made by a newer version, or a value is of the wrong kind or range.
    """
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
