"""Events of a run: read a bit at a time from the front, or one from the end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..core.training.files import VERSION

CHUNK = 64 * 1024
"""Bytes read at a time: about 100 events, 1 to 2 ms."""


class Tail:
    """Read a growing file of events, some lines at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable = 0
        self._offset = 0
        self._behind = True

    @property
    def behind(self) -> bool:
        """Whether more was there than the last read took."""
        return self._behind

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Read on."""
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                restarted = size < self._offset
                if restarted:
                    self._offset, self.unreadable = 0, 0
                file.seek(self._offset)
                data = self._lines(file.read(CHUNK), file)
        except OSError:
            self._behind = False
            return [], False
        self._offset += len(data)
        self._behind = bool(data) and self._offset < size
        events = [self._parsed(line) for line in data.split(b"\n") if line]
        return [event for event in events if event is not None], restarted

    def _lines(self, data: bytes, file: Any) -> bytes:
        """Cut after the last whole line; a line longer than a chunk is read to its end."""
        while data and b"\n" not in data:
            more = file.read(CHUNK)
            if not more:
                return b""
            data += more
        return data[: data.rfind(b"\n") + 1]

    def _parsed(self, line: bytes) -> dict[str, Any] | None:
        event = parsed(line)
        self.unreadable += event is None
        return event


def parsed(line: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is no event of a version we know."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    version = event.get("v")
    return event if isinstance(version, int) and version <= VERSION else None


def last_event(path: Path, kind: str) -> dict[str, Any] | None:
    """Return the last event of a kind without parsing the others; None if there is none."""
    wanted = f'"event": "{kind}"'.encode()
    end = b""
    try:
        with open(path, "rb") as file:
            place = file.seek(0, os.SEEK_END)
            while place > 0:
                start = max(place - CHUNK, 0)
                file.seek(start)
                data = file.read(place - start) + end
                cut = (data.find(b"\n") + 1 or len(data)) if start else 0
                for line in reversed(data[cut:].split(b"\n")[:-1]):
                    event = parsed(line) if wanted in line else None
                    if event is not None and event["event"] == kind:
                        return event
                end, place = data[:cut], start
    except OSError:
        return None
    return None
