"""``napari-hovernet info``, ``export`` and ``devices``."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from ..core.checkpoint import describe, load_model, save_model
from ..core.inference.devices import list_devices
from ..core.types import ModelInfo
from ..errors import OutputError
from .console import say

HASH_SHOWN = 16
"""Hexadecimal digits of SHA-256 in the readable form."""


def run(options: Namespace) -> int:
    """Run the command that was chosen; returns the exit status."""
    return {"info": _info, "export": _export, "devices": _devices}[options.action](options)


def _info(options: Namespace) -> int:
    info = describe(options.model)
    say(json.dumps(info_as_json(info), indent=2) if options.json else readable(info))
    return 0


def info_as_json(info: ModelInfo) -> dict[str, Any]:
    """Return all that is known of a model as plain values."""
    types = {str(k): {"name": t.name, "color": list(t.color)} for k, t in info.types.items()}
    plain = {
        name: getattr(info, name)
        for name in ("architecture", "mode", "mpp", "hv_convention", "parameters", "licence",
                     "source", "sha256", "file_kind")
    }  # fmt: skip
    return {
        **plain,
        "types": types,
        "config": dict(info.config),
        "training": dict(info.training),
        "history": [dict(row) for row in info.history],
        "notes": list(info.notes),
    }


def readable(info: ModelInfo) -> str:
    """Return all that is known of a model as a small table."""
    kinds = [f"{k} {t.name} ({', '.join(map(str, t.color))})" for k, t in info.types.items()]
    rows = [
        ("architecture", " ".join(filter(None, (info.architecture, info.mode)))),
        ("parameters", f"{info.parameters:,}"),
        ("types", kinds or ["none"]),
        ("mpp", f"{info.mpp:g} µm per pixel" if info.mpp else "not known"),
        ("HV convention", info.hv_convention),
        ("licence", info.licence or "not stated"),
        ("file", info.source),
        ("kind of file", info.file_kind),
        ("SHA-256", info.sha256),
        ("training", [f"{k} = {v}" for k, v in info.training.items()]),
        ("epochs", f"{len(info.history)} recorded" if info.history else ""),
        ("notes", list(info.notes)),
    ]
    lines = []
    for title, value in rows:
        values = value if isinstance(value, list) else [value] if value else []
        lines += [f"{title if not i else '':<15}{text}" for i, text in enumerate(values)]
    return "\n".join(lines)


def _export(options: Namespace) -> int:
    if options.output.exists() and not options.overwrite:
        raise OutputError(f"{options.output} is there already; give --overwrite or another name.")
    save_model(load_model(options.model, "cpu"), options.output)
    say(f"{options.model} -> {options.output}")
    return 0


def _devices(options: Namespace) -> int:
    found = list_devices()
    if options.json:
        say(json.dumps([asdict(device) for device in found], indent=2))
        return 0
    for device in found:
        why = "" if device.available else f" (not used: {device.reason})"
        say(f"{device.name:<8} {device.label}{why}")
    return 0
