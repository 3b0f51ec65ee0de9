"""What a person changed in the instances of a run, as a record that goes into files."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.label_changes import LabelChanges, label_changes
from ..core.types import Int32, Progress
from .session_state import Run


@dataclass(frozen=True)
class Corrections:
    """Changes by hand, and what they were made on.

    Parameters
    ----------
    changes : LabelChanges
        Pixels, and nuclei by id.
    when : str
        UTC, ISO 8601, seconds.
    version : str
        Of this program.
    model_sha256 : str
        Of the checkpoint whose instances were corrected, "" if not known.
    run : mapping
        The run's parameters, JSON-able.

    Examples
    --------
    >>> Corrections(LabelChanges(12, added=(8,), reshaped=(2, 3))).summary
    '1 nucleus added, 2 reshaped (12 pixels)'
    """

    changes: LabelChanges = field(default_factory=LabelChanges)
    when: str = ""
    version: str = __version__
    model_sha256: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether anything was changed."""
        return self.changes.any

    @property
    def summary(self) -> str:
        """The changes in one line."""
        if not self.any:
            return "Nothing changed."
        found = {
            "added": len(self.changes.added),
            "removed": len(self.changes.removed),
            "reshaped": len(self.changes.reshaped),
        }
        words = [f"{n:,} {what}" for what, n in found.items() if n]
        count, rest = words[0].split(" ", 1)
        words[0] = f"{count} {'nucleus' if count == '1' else 'nuclei'} {rest}"
        pixels = self.changes.pixels
        return f"{', '.join(words)} ({pixels:,} pixel{'' if pixels == 1 else 's'})"

    def as_dict(self) -> dict[str, Any]:
        """Return the record without the run, JSON-able."""
        return {
            "program": "napari-hovernet",
            "version": self.version,
            "time_utc": self.when,
            "summary": self.summary,
            "changed_pixels": self.changes.pixels,
            "added": list(self.changes.added),
            "removed": list(self.changes.removed),
            "reshaped": list(self.changes.reshaped),
            "model_sha256": self.model_sha256,
        }

    def provenance(self) -> dict[str, Any]:
        """How corrected labels came about: the run's parameters and the record, JSON-able."""
        return {**self.run, "corrections": self.as_dict()}


def find_corrections(run: Run, labels: Int32, now: datetime | None = None) -> Corrections:
    """Compare labels as they are now with what the run's separation made.

    Parameters
    ----------
    run : Run
    labels : int32 (H, W)
        Of the run's size, 0 = background.
    now : datetime, optional
        Default: the present.

    Returns
    -------
    Corrections

    Raises
    ------
    InputError
        If the labels are of another size, or are no labels.

    Examples
    --------
    >>> find_corrections(run, drawn).summary  # doctest: +SKIP
    '1 nucleus added (212 pixels)'
    """
    moment = datetime.now(UTC) if now is None else now.astimezone(UTC)
    return Corrections(
        changes=label_changes(run.result.labels, labels),
        when=moment.isoformat(timespec="seconds"),
        model_sha256=run.result.info.sha256,
        run=dict(run.metadata),
    )


def label_steps(
    path: str | os.PathLike[str],
    labels: Int32,
    corrections: Corrections,
    mpp: float | None = None,
) -> Generator[Progress, None, str]:
    """Write corrected labels as TIFF with their provenance; runs in a worker thread.

    Parameters
    ----------
    path : path
        A name without ending gets ``.tif``.
    labels : int32 (H, W)
        0 = background; must not change meanwhile.
    corrections : Corrections
        Kept in the file.
    mpp : float, optional
        Micrometres per pixel, for the resolution tags.

    Yields
    ------
    Progress
        One, before the work.

    Returns
    -------
    str
        Where the file lies.

    Raises
    ------
    OutputError
        If it cannot be written; nothing is left of it.
    """
    from ..core.io.label_tiff import write_label_tiff  # noqa: PLC0415 - on first use

    target = Path(path)
    target = target if target.suffix else target.with_name(f"{target.name}.tif")
    yield Progress(0, 0, f"Saving {target.name} ...")
    write_label_tiff(target, labels, mpp=mpp, metadata=corrections.provenance())
    return str(target)
