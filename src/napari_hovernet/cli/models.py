"""``napari-hovernet info``, ``export``, ``devices``, ``tokens`` and ``demo``."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from ..app.jobs import drive
from ..core.checkpoint import describe, load_model, save_model
from ..core.inference.devices import list_devices
from ..core.io.files import types_to_json
from ..core.types import ModelInfo
from ..core.weights import BUILT_IN, DEFAULT, BuiltIn, offered
from ..errors import InputError, OutputError
from .console import ProgressBar, complain, say

DEMO_MODULE = "napari_hovernet._napari.demo"
"""Run by name: this layer knows nothing of the viewer."""
NEEDED = ("napari", "qtpy")


def info(options: Namespace) -> int:
    """Tell what a model file is, or list the built-in ones."""
    if options.model is None:
        models = [BUILT_IN[name] for name in offered()]
        if options.json:
            plain = [{**asdict(model), "default": model.name == DEFAULT} for model in models]
            say(json.dumps(plain, indent=2))
        else:
            say("\n".join(map(listed, models)))
        return 0
    found = describe(options.model)
    say(json.dumps(info_as_json(found), indent=2) if options.json else readable(found))
    return 0


def listed(model: BuiltIn) -> str:
    """Return what to know before a built-in model is chosen."""
    name = f"{model.name} (default)" if model.name == DEFAULT else model.name
    return f"{name:<20}{model.about}\n  {model.terms}\n  {model.attribution}"


def info_as_json(found: ModelInfo) -> dict[str, Any]:
    """Return all that is known of a model as plain values."""
    plain = ("architecture", "mode", "mpp", "hv_convention", "parameters", "licence", "source",
             "sha256", "file_kind")  # fmt: skip
    return {
        **{name: getattr(found, name) for name in plain},
        "types": types_to_json(found.types),
        "config": dict(found.config),
        "training": dict(found.training),
        "history": [dict(row) for row in found.history],
        "notes": list(found.notes),
    }


def readable(found: ModelInfo) -> str:
    """Return all that is known of a model as a small table."""
    kinds = [f"{k} {t.name} ({', '.join(map(str, t.color))})" for k, t in found.types.items()]
    rows = {
        "architecture": [" ".join(filter(None, (found.architecture, found.mode)))],
        "parameters": [f"{found.parameters:,}"],
        "types": kinds or ["none"],
        "mpp": [f"{found.mpp:g} µm per pixel" if found.mpp else "not known"],
        "HV convention": [found.hv_convention],
        "licence": [found.licence or "not stated"],
        "attribution": [BUILT_IN[found.source].attribution if found.source in BUILT_IN else ""],
        "file": [found.source],
        "kind of file": [found.file_kind],
        "SHA-256": [found.sha256],
        "training": [f"{k} = {v}" for k, v in found.training.items()],
        "epochs": [f"{len(found.history)} recorded" if found.history else ""],
        "notes": list(found.notes),
    }
    lines = []
    for title, values in rows.items():
        known = list(filter(None, values))
        lines += [f"{title if not i else '':<15}{text}" for i, text in enumerate(known)]
    return "\n".join(lines)


def export(options: Namespace) -> int:
    """Write a model in another format."""
    _refuse_to_replace(options)
    save_model(load_model(options.model, "cpu"), options.output)
    say(f"{options.model} -> {options.output}")
    return 0


def devices(options: Namespace) -> int:
    """List the devices a model can run on."""
    found = list_devices()
    if options.json:
        say(json.dumps([asdict(device) for device in found], indent=2))
        return 0
    for device in found:
        why = "" if device.available else f" (not used: {device.reason})"
        say(f"{device.name:<8} {device.label}{why}")
    return 0


def _refuse_to_replace(options: Namespace) -> None:
    if options.output.exists() and not options.overwrite:
        raise OutputError(f"{options.output} is there already; give --overwrite or another name.")


def tokens(options: Namespace) -> int:
    """Compute the features of a frozen ViT and write them."""
    from ..app.tokens import cache_steps, find_pictures  # noqa: PLC0415 - for tokens alone
    from ..core.tokens.backbone import BackboneParams, load_backbone  # noqa: PLC0415

    _refuse_to_replace(options)
    pictures = find_pictures(options.images)
    colours = {k: tuple(v) for k in ("mean", "std") if (v := getattr(options, k)) is not None}
    params = BackboneParams(options.size, batch=options.batch, layer=options.layer, **colours)
    backbone = load_backbone(options.backbone, options.device, params, options.weights)
    with ProgressBar("tokens", quiet=options.quiet, unit="image") as bar:
        made = drive(cache_steps(pictures, backbone, options.output), bar)
    n, count, length = made.shape
    say(
        f"{n} images -> {', '.join(map(str, made.files))}: {count} tokens of {length} each, "
        f"{made.prefix} of them before the patches"
    )
    for note in made.notes if not options.quiet else ():
        complain(f"note: {note}")
    return 0


def demo(options: Namespace) -> int:
    """Start the viewer in a process of its own and return its exit status."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"The demo needs {' and '.join(missing)}: pip install 'napari-hovernet[all]'. "
            "The other commands work without."
        )
    given = {name: getattr(options, name) for name in ("sample", "model", "screenshot")}
    arguments = [p for k, v in given.items() if v is not None for p in (f"--{k}", str(v))]
    command = [sys.executable, "-m", DEMO_MODULE, *arguments]
    return subprocess.run(command, check=False).returncode
