"""What happens in a training run, one JSON object per line, for whoever watches."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..io.atomic import output_error

VERSION = 1
"""Version of the form of a line; readers pass over lines with a higher one."""
KINDS = (
    *("start", "step", "heads", "epoch", "preview", "checkpoint", "state", "error", "end"),
    "damaged",
)
"""What a line can be about; "damaged" is never written: it stands for a line nobody can read."""
SHOWN = 60
"""Characters of a damaged line that its note shows."""


class EventWriter:
    """Append events to a file, each on the disk's way before the next.

    A file that is there is continued. If its last line was cut off (a killed process, a full
    disk) the next event starts on a line of its own, so that one line is lost at most.

    Parameters
    ----------
    path : path
        Its folder must exist.

    Raises
    ------
    OutputError
        If the file cannot be opened, or, by :meth:`write`, not be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "events.jsonl"
    >>> with EventWriter(path) as events:
    ...     events.write("step", step=1, total=float("nan"))
    >>> read_events(path)[0][0]["total"] is None
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
            self._cut_off = _cut_off(self.path)
        except OSError as error:
            raise output_error(self.path, error) from error

    def write(self, kind: str, /, **fields: Any) -> None:
        """Write one event.

        Parameters
        ----------
        kind : str
            One of ``KINDS``.
        **fields
            Plain values, mappings and sequences of them, 0-d arrays; what is NaN or infinite
            is written as null.
        """
        event = {"v": VERSION, "t": round(time.time(), 3), "event": kind, **fields}
        line = json.dumps(_plain(event), allow_nan=False).encode() + b"\n"
        try:
            if self._cut_off:
                line = b"\n" + line
            self._cut_off = True
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._cut_off = False
        except OSError as error:
            raise output_error(self.path, error) from error

    def close(self) -> None:
        """Close the file; nothing can be written afterwards."""
        self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_events(path: str | os.PathLike[str], offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read what was appended since the last time.

    Parameters
    ----------
    path : path
        Need not exist yet.
    offset : int
        Bytes already read: 0, or what the last call returned.

    Returns
    -------
    events : list of dict
        Whole lines alone; each has "v", "t" (unix seconds) and "event". A line that is no
        event comes as ``{"event": "damaged", "message": ...}``.
    offset : int
        Where to go on; a last line without its end is left for the next call.

    Raises
    ------
    OSError
        If the file is there and cannot be read.

    Examples
    --------
    >>> read_events("no such file")
    ([], 0)
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events = [_event(line) for line in whole.split(b"\n") if line.strip()]
    return events, offset + len(whole)


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        return _damaged(line, "it is cut off or not JSON")
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return _damaged(line, "it names no event")
    version, moment = event.get("v"), event.get("t")
    if not isinstance(version, int) or not isinstance(moment, int | float):
        return _damaged(line, "it has no version or time")
    if version > VERSION:
        return _damaged(line, f"it is of version {version}: update napari-hovernet")
    return event


def _damaged(line: bytes, why: str) -> dict[str, Any]:
    shown = line[:SHOWN].decode("utf-8", "replace")
    message = f"A line of the events was passed over ({why}): {shown}"
    return {"v": VERSION, "t": 0.0, "event": "damaged", "message": message}


def _cut_off(path: Path) -> bool:
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return _plain(value.tolist())
    return str(value)
