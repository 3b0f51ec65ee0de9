"""What the panel "Diagnose" asks for, and what it has been told: frozen values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..core.types import Progress

if TYPE_CHECKING:
    from ..core.diagnosis.bench import Bench

RUN, FILES = "run", "files"
TUNER = "tuner"
"""Separation of files: with the parameters of the panel "Tune separation"."""


@dataclass(frozen=True)
class FilesChoice:
    """Files to diagnose; "" = none, or not to be tested.

    Parameters
    ----------
    model : str
        "compact" or a checkpoint.
    data : str
        Folder, table, image, or file of maps or targets.
    separation : str
        A preset, a parameter file, or "tuner".
    augmentation : str
        "ours", "story" or "none".
    loss : str
        "default", or a training run's folder.
    family : str
        Organ family, for stored features.
    convention : str
        What stored or given HV claims to be, a preset's name; "" = "hover_net".
    n_samples : int
        Images looked at, at most.
    """

    model: str = ""
    data: str = ""
    separation: str = ""
    augmentation: str = ""
    loss: str = ""
    family: str = ""
    convention: str = ""
    n_samples: int = 20

    @property
    def problem(self) -> str:
        """Why there is nothing to diagnose, "" if there is."""
        if any((self.model, self.data, self.separation, self.augmentation, self.loss)):
            return ""
        return "Choose a model, data, or both. You can drop a folder or a checkpoint here."

    @property
    def command(self) -> str:
        """The same as a command line."""
        parts: dict[str, Any] = asdict(self)
        parts["hv_convention"] = parts.pop("convention")
        if self.separation == TUNER:
            parts["separation"] = "TUNED.json"
        if self.n_samples == FilesChoice.n_samples:
            parts.pop("n_samples")
        return command_of(parts)


@dataclass(frozen=True, eq=False)
class Target:
    """What the findings are about.

    Parameters
    ----------
    kind : {"run", "files"}
    title : str
    run : int
        Id of the run, 0 for files.
    files : FilesChoice, optional
    """

    kind: str
    title: str
    run: int = 0
    files: FilesChoice | None = None


@dataclass(frozen=True)
class Opened(Progress):
    """Progress that carries the bench once everything has been opened."""

    bench: Bench | None = None


@dataclass(frozen=True, eq=False)
class Applied:
    """A remedy that was applied.

    Parameters
    ----------
    finding : str
        Id of the finding it was for.
    title, change : str
        Of the finding; what the remedy changed.
    before, after : str
        Verdict of that finding.
    was : object
        The diagnosis before, for undo.
    """

    finding: str
    title: str
    change: str
    before: str
    after: str
    was: Any = None


def command_of(parts: Mapping[str, Any]) -> str:
    """Return the command line; empty parts are left out.

    Examples
    --------
    >>> command_of({"model": "compact", "data": "my data", "loss": ""})
    "napari-hovernet diagnose --model compact --data 'my data'"
    """
    words = ["napari-hovernet", "diagnose"]
    for name, value in parts.items():
        if value not in ("", None):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
