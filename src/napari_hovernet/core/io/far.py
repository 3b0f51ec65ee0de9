"""Places in stores that are reached by URL (s3://, gs://, memory:// ...), used like paths."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psutil

from ...errors import InputError, UserError

KEEP = ".keep"
"""Stands for an empty folder: stores of objects have none."""
LEASE_SECONDS, RENEWED_SECONDS = 900.0, 60.0
"""A writer of another computer that has not renewed its lease for so long is gone."""


def place(where: str | os.PathLike[str]) -> Path | Far:
    """Return a path, or what stands for it where a URL is given."""
    text = os.fspath(where)
    if text.startswith("file://"):
        return Path(url2pathname(urlsplit(text).path))
    return Far(text.rstrip("/")) if "://" in text else Path(text)


@lru_cache
def _system(url: str) -> tuple[Any, str]:
    try:
        # What others have written must be seen: no listings are kept.
        found: tuple[Any, str] = import_module("fsspec.core").url_to_fs(
            url, use_listings_cache=False
        )
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{url} cannot be reached ({error}); give a folder, or install what this kind of store "
            "needs (for s3: pip install 'napari-hovernet[s3]')."
        ) from error
    return found


@contextmanager
def linked() -> Iterator[None]:
    """Raise what a store's own library raises as the failure of a connection that it is."""
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        if type(error).__module__ == "builtins":
            raise
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Far:
    """A place in a store; an object is there as a whole or not at all."""

    url: str

    def __fspath__(self) -> str:
        """Return the URL."""
        return self.url

    __str__ = __fspath__

    def __truediv__(self, more: str | os.PathLike[str]) -> Far:
        """Return a place below."""
        return Far(f"{self.url}/{Path(more).as_posix()}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    def with_suffix(self, suffix: str) -> Far:
        """Return the place of another ending."""
        return Far(f"{self.url[: len(self.url) - len(Path(self.name).suffix)]}{suffix}")

    def _do(self, what: str, *given: Any, **more: Any) -> Any:
        system, at = _system(self.url)
        with linked():
            return getattr(system, what)(*given, at, **more)

    def exists(self) -> bool:
        """Whether something is there."""
        return bool(self._do("exists"))

    def is_dir(self) -> bool:
        """Whether something lies below."""
        return bool(self._do("isdir"))

    def iterdir(self) -> list[Far]:
        """List what lies below."""
        try:
            names = [name.rstrip("/").rpartition("/")[2] for name in self._do("ls", detail=False)]
        except FileNotFoundError:
            return []
        return [self / name for name in names if name not in (KEEP, self.name)]

    def mkdir(self, **_: Any) -> None:
        """Stand for an empty folder."""
        (self / KEEP).write_bytes(b"")

    def read_bytes(self) -> bytes:
        """Read all."""
        data: bytes = self._do("cat_file")
        return data

    def write_bytes(self, data: bytes) -> None:
        """Write all."""
        system, at = _system(self.url)
        with linked():
            system.pipe_file(at, data)

    def open(self, mode: str = "rb") -> Any:
        """Open for reading."""
        return self._do("open", mode=mode)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete it."""
        try:
            self._do("rm_file")
        except FileNotFoundError:
            if not missing_ok:
                raise

    @contextmanager
    def written(self) -> Iterator[Path]:
        """Give a local file to write to; it is sent in one piece if all went well."""
        with tempfile.TemporaryDirectory(prefix="napari-hovernet-") as folder:
            file = Path(folder, self.name)
            file.touch()
            yield file
            self._do("put_file", os.fspath(file))


def _born(pid: int) -> float | None:
    """When a process of this computer was started, None if it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


_HELD: set[Far] = set()  # Leases of this process: one may stay in a store that is gone


@dataclass
class Lease:
    """Says in a store who writes there; two that start in the same second are not kept apart."""

    at: Far
    renewed: float = 0.0

    def taken_by(self) -> str:
        """Say who else writes there, or nothing."""
        try:
            found = json.loads(self.at.read_bytes())
            host, pid, born, renewed = (found[name] for name in ("host", "pid", "born", "renewed"))
            here = time.time() - renewed < LEASE_SECONDS
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        if host == platform.node():
            here = born == _born(pid) and (pid != os.getpid() or self.at in _HELD)
        return f"process {pid} on {host}" if here else ""

    def renew(self, now: bool = False) -> None:
        """Say that the run goes on."""
        if now or time.time() - self.renewed > RENEWED_SECONDS:
            self.renewed = time.time()
            _HELD.add(self.at)
            own = {"host": platform.node(), "pid": os.getpid(), "born": _born(os.getpid())}
            self.at.write_bytes(json.dumps({**own, "renewed": self.renewed}).encode())

    def release(self) -> None:
        """Let others write there."""
        _HELD.discard(self.at)
        with suppress(OSError):
            self.at.unlink(missing_ok=True)
