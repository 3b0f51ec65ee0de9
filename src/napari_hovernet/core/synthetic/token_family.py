"""Generated files of the token decoder: tokens that know their nuclei, without any backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import hv_targets
from ..io.atomic import atomic_path
from ..networks.optimus import GRID
from ..types import Float32, Int32
from .params import TissueParams
from .tissue import tissue

STORED_EDGE = 256
"""Edge of images and targets in family files."""
CELLS = 7
"""A patch is described by CELLS x CELLS means of each map."""


@dataclass(frozen=True)
class TokenFamilyParams:
    """What to generate.

    Parameters
    ----------
    n : int
        Samples.
    dim : int
        Length of a token.
    prefix : int
        Tokens before the patches; they hold noise.
    noise : float
        Standard deviation of what is added to tokens of about unit size.
    folds : int
        Samples are dealt out to folds 1..folds in turn; 0 = no ``fold_ids``.
    instances : bool
        Whether ``inst_maps`` are stored.
    seed : int

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> TokenFamilyParams(n=4).dim
    64
    """

    n: int = 8
    dim: int = 64
    prefix: int = 5
    noise: float = 0.05
    folds: int = 0
    instances: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("dim", 1), ("prefix", 0), ("noise", 0), ("folds", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more.")


def tokens_of(labels: Int32, params: TokenFamilyParams | None = None, seed: int = 0) -> Float32:
    """Make tokens of 16 x 16 patches from which NP and HV of ``labels`` can be learned.

    Each token is a fixed random projection of what lies under its patch, plus noise.

    Parameters
    ----------
    labels : int32 (H, W)
    params : TokenFamilyParams, optional
        ``dim``, ``prefix`` and ``noise`` count.
    seed : int
        Of the noise.

    Returns
    -------
    float32 (prefix + 256, dim)

    Examples
    --------
    >>> tokens_of(np.zeros((256, 256), np.int32), TokenFamilyParams(dim=4)).shape
    (261, 4)
    """
    params = TokenFamilyParams() if params is None else params
    maps = np.stack([(labels > 0).astype(np.float32), *hv_targets(labels)])
    edge = GRID * CELLS
    small = [cv2.resize(m, (edge, edge), interpolation=cv2.INTER_AREA) for m in maps]
    cells = np.stack(small).reshape(3, GRID, CELLS, GRID, CELLS)
    under = cells.transpose(1, 3, 0, 2, 4).reshape(GRID * GRID, -1)
    fixed = np.random.default_rng(params.dim).standard_normal((under.shape[1], params.dim))
    rng = np.random.default_rng(seed)
    patches = under @ fixed / np.sqrt(under.shape[1])
    patches += params.noise * rng.standard_normal(patches.shape)
    before = rng.standard_normal((params.prefix, params.dim))
    return np.concatenate([before, patches]).astype(np.float32)


def write_token_family(
    folder: Path, family: str = "generated", params: TokenFamilyParams | None = None
) -> dict[str, Path]:
    """Write ``F_features.npz``, ``F_targets.npz`` and ``F_data_FIXED.npz`` of generated tissue.

    Parameters
    ----------
    folder : Path
    family : str
    params : TokenFamilyParams, optional

    Returns
    -------
    dict of str to Path
        By kind: "features", "targets", "data".

    Raises
    ------
    OutputError
        If a file cannot be written.

    Examples
    --------
    >>> write_token_family(Path("data"), params=TokenFamilyParams(n=20))  # doctest: +SKIP
    """
    params = TokenFamilyParams() if params is None else params
    made = [_sample(i, params) for i in range(params.n)]
    images, labels, types, tokens = (np.stack(arrays) for arrays in zip(*made, strict=True))
    hv = np.stack([hv_targets(plane) for plane in labels])
    targets: dict[str, Any] = {
        "np_targets": (labels > 0).astype(np.uint8),
        "hv_targets": hv,
        "nt_targets": types.astype(np.uint8),
    }
    if params.instances:
        targets["inst_maps"] = labels
    data = {"images": images, **targets}
    if params.folds:
        data["fold_ids"] = np.arange(params.n) % params.folds + 1
        data["image_ids"] = np.arange(params.n)
    files = {
        "features": ({"features": tokens.astype(np.float16)}, "features"),
        "targets": (targets, "targets"),
        "data": (data, "data_FIXED"),
    }
    written = {}
    for kind, (arrays, ending) in files.items():
        written[kind] = folder / f"{family}_{ending}.npz"
        write_npz(written[kind], arrays)
    return written


def write_npz(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write arrays uncompressed, so that they can be mapped into memory: all or nothing.

    Raises
    ------
    OutputError
        If it cannot be written; the file that was there stays as it was.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _sample(index: int, params: TokenFamilyParams) -> tuple[Any, Int32, Int32, Float32]:
    seed = params.seed * 1000 + index
    made = tissue((STORED_EDGE, STORED_EDGE), seed, TissueParams())
    lookup = np.concatenate([[0], np.minimum(made.types, 4)]).astype(np.int32)
    return made.image, made.labels, lookup[made.labels], tokens_of(made.labels, params, seed)


__all__ = ["TokenFamilyParams", "tokens_of", "write_npz", "write_token_family"]
