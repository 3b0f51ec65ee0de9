"""What is remembered between sessions: recent models and the last parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..core.io.atomic import atomic_path
from ..core.params import InferenceParams, SeparationParams
from ..errors import OutputError, UserError

APP_NAME = "napari-hovernet"
FILE_NAME = "settings.json"
CONFIG_ENV = "NAPARI_HOVERNET_CONFIG"
"""Environment variable that names another folder for the settings file."""
RECENT_LIMIT = 8
"""Checkpoint files kept in the recent list."""
PRESETS = ("local", "hover_net")
"""Named ways of separating nuclei."""
SETTINGS_VERSION = 1


@dataclass(frozen=True)
class Settings:
    """Choices to start the next session with.

    Parameters
    ----------
    recent_models : tuple of str
        Absolute paths of checkpoints, the latest first, at most ``RECENT_LIMIT``.
    model : str
        Last model: "compact" or a path.
    device : str
        Last device: "auto", "cpu", "cuda:0", "mps".
    separation : {"local", "hover_net"}
        Last separation preset.
    inference : InferenceParams
        Last inference parameters; mpp of an image is never remembered.
    """

    recent_models: tuple[str, ...] = ()
    model: str = "compact"
    device: str = "auto"
    separation: str = "local"
    inference: InferenceParams = field(default_factory=InferenceParams)

    def with_recent(self, path: str) -> Settings:
        """Put a checkpoint at the top of the recent list.

        Examples
        --------
        >>> Settings(recent_models=("/a", "/b")).with_recent("/b").recent_models
        ('/b', '/a')
        """
        kept = (path, *(p for p in self.recent_models if p != path))
        return replace(self, recent_models=kept[:RECENT_LIMIT])

    def without_recent(self, path: str) -> Settings:
        """Take a checkpoint off the recent list (the file is gone or unreadable)."""
        return replace(self, recent_models=tuple(p for p in self.recent_models if p != path))


def separation_params(preset: str) -> SeparationParams:
    """Return the parameters a preset name stands for."""
    return SeparationParams.preset(preset)


def config_file() -> Path:
    """Return the path of the settings file, in the user's configuration folder."""
    named = os.environ.get(CONFIG_ENV)
    if named:
        return Path(named) / FILE_NAME
    from platformdirs import user_config_path  # noqa: PLC0415 - on first use

    return user_config_path(APP_NAME, appauthor=False) / FILE_NAME


def load(path: Path | None = None) -> Settings:
    """Read the settings; whatever is missing or damaged takes its default.

    Parameters
    ----------
    path : Path, optional
        Settings file; default :func:`config_file`.

    Examples
    --------
    >>> load(Path("/nowhere/settings.json")) == Settings()
    True
    """
    try:
        text = (path or config_file()).read_text(encoding="utf-8")
        raw = json.loads(text)
    except (OSError, ValueError):
        return Settings()
    return _from_dict(raw) if isinstance(raw, dict) else Settings()


def save(settings: Settings, path: Path | None = None) -> None:
    """Write the settings in one step: a reader sees the old file or the new one.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    target = path or config_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Settings cannot be written to {target}: {error}.") from error
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(_to_dict(settings), indent=1), encoding="utf-8")


def _to_dict(settings: Settings) -> dict[str, Any]:
    inference = {
        f.name: getattr(settings.inference, f.name)
        for f in fields(InferenceParams)
        if f.name not in ("image_mpp", "model_mpp")
    }
    return {
        "version": SETTINGS_VERSION,
        "recent_models": list(settings.recent_models),
        "model": settings.model,
        "device": settings.device,
        "separation": settings.separation,
        "inference": inference,
    }


def _from_dict(raw: Mapping[str, Any]) -> Settings:
    """Take every field that is what it should be, and the default for the rest."""
    default = Settings()
    recent = raw.get("recent_models")
    paths = [p for p in recent if isinstance(p, str)] if isinstance(recent, list) else []
    separation = raw.get("separation")
    return Settings(
        recent_models=tuple(paths[:RECENT_LIMIT]),
        model=_text(raw, "model", default.model),
        device=_text(raw, "device", default.device),
        separation=separation if separation in PRESETS else default.separation,
        inference=_inference(raw.get("inference")),
    )


def _text(raw: Mapping[str, Any], key: str, default: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) and value else default


def _inference(raw: Any) -> InferenceParams:
    known = {f.name for f in fields(InferenceParams)} - {"image_mpp", "model_mpp"}
    values = {k: v for k, v in raw.items() if k in known} if isinstance(raw, dict) else {}
    try:
        return InferenceParams(**values)
    except (UserError, TypeError):
        return InferenceParams()
