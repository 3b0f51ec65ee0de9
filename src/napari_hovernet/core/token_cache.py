"""Write tokens to an ``.npz`` while they are computed: uncompressed, all or nothing."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .io.atomic import atomic_path

STORED = np.dtype(np.float16)
"""Half the size of float32; far finer than what a decoder can tell."""
LARGEST = float(np.finfo(STORED).max)


class TokenFile:
    """An ``.npz`` that grows by batches; it is there once the block ends without an error.

    Parameters
    ----------
    path : Path
        ``F_features.npz``; replaced in one step.
    name : str
        Of the array: "features" or "layer_24".
    n : int
        Samples there will be.
    extra : dict of array, optional
        Small arrays to keep beside: "token_prefix", "image_ids" ...

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x_features.npz"
    >>> with TokenFile(path, "features", 2) as file:
    ...     file.add(np.zeros((2, 261, 4), np.float32))
    >>> np.load(path)["features"].dtype
    dtype('float16')
    """

    def __init__(
        self, path: Path, name: str, n: int, extra: dict[str, npt.NDArray[Any]] | None = None
    ) -> None:
        self.path, self.name, self.n = path, name, n
        self.extra = dict(extra or {})
        self.done = 0
        self._shape: tuple[int, ...] = ()
        self._stack = ExitStack()
        self._archive: zipfile.ZipFile | None = None
        self._member: IO[bytes] | None = None

    def __enter__(self) -> TokenFile:
        temporary = self._stack.enter_context(atomic_path(self.path))
        archive = zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._archive = self._stack.enter_context(archive)
        return self

    def add(self, batch: npt.NDArray[Any]) -> None:
        """Write tokens (b, T, D), as float16.

        Raises
        ------
        InputError
            If their size is not that of the others, or a value does not fit into float16.
        """
        if self._archive is None:
            raise ValueError("a TokenFile is written within its block")
        if self._member is None:
            self._shape = batch.shape[1:]
            self._member = self._archive.open(f"{self.name}.npy", "w", force_zip64=True)
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, STORED))
            header["shape"] = (self.n, *self._shape)
            np.lib.format.write_array_header_1_0(self._member, header)
        if batch.shape[1:] != self._shape:
            raise InputError(f"Tokens of an image are {batch.shape[1:]}, of others {self._shape}.")
        if not np.abs(batch).max(initial=0) <= LARGEST:
            raise InputError(f"Tokens are NaN or go beyond {LARGEST:.0f}, the most float16 holds.")
        self._member.write(np.ascontiguousarray(batch, STORED).tobytes())
        self.done += len(batch)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if self._member is not None:
                self._member.close()
            if kind is not None:
                self._stack.__exit__(kind, error, trace)
                return
            self._finish()

    def _finish(self) -> None:
        if self.done != self.n or self._archive is None:
            raise InputError(f"There are tokens of {self.done} images instead of {self.n}.")
        for name, array in self.extra.items():
            with self._archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
