"""Cached tokens of a frozen ViT through a token decoder: stacks of NP, HV and type maps."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import linalg

from ...errors import InputError, JobFailed, UserError, is_out_of_memory
from ..choices import check_choices, choice
from ..data.stores import AnyArray
from ..hv import HVConvention, convert
from ..inference import devices
from ..inference.images import UInt8
from ..limits import check_room
from ..networks.optimus import GRID, OUTPUT
from ..types import Float32, Maps, Model, Progress
from . import AS_FILE, HISTORICAL, TOKEN_PREFIXES

PATCHES = GRID * GRID
PATCH_PX = 14
"""Edge of a patch in pixels of the maps."""


@dataclass(frozen=True)
class TokenParams:
    """How tokens go through the decoder."""

    prefix: str = AS_FILE  # Of :data:`TOKEN_PREFIXES`; "historical" for short
    batch: int = choice(8, "Batch", "Samples at a time.", low=1)

    def __post_init__(self) -> None:
        full = HISTORICAL if self.prefix == "historical" else self.prefix
        object.__setattr__(self, "prefix", full)
        if full not in TOKEN_PREFIXES:
            names = ", ".join(TOKEN_PREFIXES)
            raise InputError(f"The token prefix is {full!r}; choose one of {names}.")
        check_choices(self)

    def tokens_before(self, model: Model) -> int:
        """Return the number of tokens before the first patch."""
        prefix = TOKEN_PREFIXES[self.prefix]
        return int(model.network.config["token_prefix"]) if prefix is None else prefix


def slice_words(prefix: int, n_tokens: int) -> str:
    """Say what a prefix that is not that of the tokens does to the maps; "" if it is."""
    off, last = n_tokens - PATCHES - prefix, prefix + PATCHES
    if off <= 0:
        return ""
    return (
        f"tokens {prefix}:{last} of {n_tokens} are read as patches, which are the last {PATCHES}: "
        f"maps come out {off} columns ({off * PATCH_PX} px) to the right, wrapped into the next "
        "row, unless the decoder was trained so"
    )


@dataclass(frozen=True, eq=False)
class TokenMaps:
    """Maps of many samples."""

    np: Float32  # NP probability, 0..1
    hv: Float32  # [H, V] outward
    types: Float32 | None  # Type probabilities where the decoder has types
    indices: tuple[int, ...]  # Which sample of the file each one is
    errors: dict[int, str] = field(default_factory=dict)  # By place
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def magnitude(self) -> Float32:
        """HV magnitude of all samples, float32 (n, 224, 224)."""
        length: Float32 = np.hypot(self.hv[:, 0], self.hv[:, 1])
        return length

    def maps(self, place: int) -> Maps:
        """Return the maps of one sample; they share memory with the stacks."""
        types = None if self.types is None else self.types[place]
        return Maps(self.np[place], self.hv[place], types)


def predict_tokens_steps(
    model: Model,
    features: AnyArray,
    params: TokenParams | None = None,
    indices: Sequence[int] | None = None,
) -> Generator[Progress, None, TokenMaps]:
    """Decode cached tokens, float (N, T, D), step by step: all samples or those in ``indices``."""
    params = params or TokenParams()
    check_tokens(model, features.shape, features.dtype, params)
    wanted = tuple(range(len(features))) if indices is None else tuple(indices)
    note = slice_words(params.tokens_before(model), features.shape[1])
    n_types = int(model.network.config.get("n_types") or 0)
    found = _empty(wanted, n_types, (note,) if note else ())
    try:
        yield from _decoded(model, features, params, found)
    finally:
        devices.release(model.device)
    if found.errors and len(found.errors) == len(wanted):
        raise InputError(next(iter(found.errors.values())))
    return found


def check_tokens(
    model: Model, shape: tuple[int, ...], dtype: np.dtype[Any], params: TokenParams
) -> None:
    """Check that a decoder can read an array of tokens."""
    if model.network.accepts != "tokens":
        raise InputError(
            f"The {model.info.architecture} network takes images, not tokens; choose a checkpoint "
            "of the token decoder (Optimus .pth)."
        )
    dim, prefix = int(model.network.config["embed_dim"]), params.tokens_before(model)
    if len(shape) != 3 or dtype.kind != "f":
        raise InputError(
            f"Tokens have shape {tuple(shape)} and dtype {dtype}; they are (N, "
            f"{prefix + PATCHES}, {dim}) of float16 or float32."
        )
    if shape[2] != dim:
        raise InputError(
            f"The tokens are {shape[2]} long, this decoder reads {dim}: they come from another "
            "backbone, or the checkpoint does."
        )
    if shape[1] < prefix + PATCHES:
        raise InputError(
            f"There are {shape[1]} tokens per sample; with {prefix} before the patches it takes "
            f"{prefix + PATCHES} or more. Choose a smaller token prefix."
        )


def decode_tokens(model: Model, tokens: npt.NDArray[Any], prefix: int) -> list[Maps]:
    """Decode one batch of tokens (B, T, D), already checked."""
    batch = torch.from_numpy(np.ascontiguousarray(tokens, np.float32)).to(model.device)
    model.network.eval()
    with torch.inference_mode():
        out = model.network(batch, prefix)
        probability = out["np"].float().softmax(1)[:, 1].cpu().numpy()
        raw = out["hv"].float().cpu().numpy()
        types = out["tp"].float().softmax(1).cpu().numpy() if "tp" in out else [None] * len(raw)
    named = HVConvention.preset(model.info.hv_convention)
    claimed = HVConvention(order=named.order, sign=named.sign)
    vectors = (convert(hv, claimed, HVConvention()) for hv in raw)
    return [Maps(*maps) for maps in zip(probability, vectors, types, strict=True)]


def _empty(wanted: tuple[int, ...], n_types: int, notes: tuple[str, ...]) -> TokenMaps:
    n = len(wanted)
    needed = n * (3 + n_types) * OUTPUT * OUTPUT * 4
    check_room(needed, f"The maps of {n} samples", "take fewer samples")
    types = np.zeros((n, n_types, OUTPUT, OUTPUT), np.float32) if n_types else None
    hv = np.zeros((n, 2, OUTPUT, OUTPUT), np.float32)
    return TokenMaps(np.zeros((n, OUTPUT, OUTPUT), np.float32), hv, types, wanted, notes=notes)


def _decoded(
    model: Model, features: AnyArray, params: TokenParams, out: TokenMaps
) -> Generator[Progress, None, None]:
    """Fill the stacks; on lack of memory go on with smaller batches."""
    n, size, done = len(out), params.batch, 0
    yield Progress(0, n, f"sample 0 of {n}")
    while done < n:
        places = range(done, min(done + size, n))
        good, tokens = _read(features, places, out)
        try:
            found = _decode(model, tokens, params.tokens_before(model))
        except MemoryError as error:
            if size == 1:
                raise JobFailed(
                    "Not enough memory for one sample: close other programs, or use the CPU."
                ) from error
            size //= 2
            devices.release(model.device)
            yield Progress(done, n, "out of memory", f"out of memory: {size} samples at a time")
            continue
        for place, maps in zip(good, found, strict=True):
            if isinstance(maps, str):
                out.errors[place] = f"sample {out.indices[place]}: {maps}"
                continue
            out.np[place], out.hv[place] = maps.np, maps.hv
            if out.types is not None and maps.types is not None:
                out.types[place] = maps.types
        done = places.stop
        yield Progress(done, n, f"sample {done} of {n}")


def _read(
    features: AnyArray, places: range, out: TokenMaps
) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Read the tokens of a batch; samples with NaN become errors."""
    rows = {p: np.asarray(features[out.indices[p]], np.float32) for p in places}
    good = [p for p, row in rows.items() if np.isfinite(row.sum(dtype=np.float64))]
    for place in (p for p in places if p not in good):
        out.errors[place] = (
            f"sample {out.indices[place]}: tokens hold NaN or infinite values; compute them again."
        )
    tokens = [rows[p] for p in good]
    return good, np.stack(tokens) if tokens else np.zeros((0, *features.shape[1:]), np.float32)


def _decode(model: Model, tokens: npt.NDArray[Any], prefix: int) -> list[Maps | str]:
    """Decode a batch; where that fails, sample by sample, errors as text."""
    if not len(tokens):
        return []
    try:
        return list(decode_tokens(model, tokens, prefix))
    except UserError as error:
        if len(tokens) == 1:
            return [str(error)]
        return [maps for row in tokens for maps in _decode(model, row[None], prefix)]
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise JobFailed(f"The decoder failed ({type(error).__name__}: {error}).") from error


MOST_ROWS = 1024
"""Tokens from which the principal components are taken, evenly spread."""
SPREAD = 2.5
"""Standard deviations to either side of the mean that the colours span."""
COLOURS = 3


def principal_rgb(tokens: npt.NDArray[Any]) -> UInt8:
    """Show patch tokens by their first three principal components, as red, green and blue."""
    n, edge = len(tokens), GRID * PATCH_PX
    grey = np.full((n, edge, edge, COLOURS), 128, np.uint8)
    if tokens.ndim != 3 or tokens.shape[1] < PATCHES or not n:
        return grey
    values = np.asarray(tokens[:, -PATCHES:], np.float32).reshape(n * PATCHES, -1)
    usable = np.isfinite(values).all(axis=1)
    if not usable.any():
        return grey
    mean = values[usable].mean(axis=0)
    rows = values[usable][:: max(1, -(-int(usable.sum()) // MOST_ROWS))] - mean
    axes = _axes(rows)
    found = np.zeros((len(values), COLOURS), np.float32)
    found[usable, : axes.shape[1]] = (values[usable] - mean) @ axes
    spread = found[usable].std(axis=0)
    scaled = found / np.where(spread > 0, SPREAD * spread, 1.0)
    bytes_ = np.clip(128 + 127 * scaled, 0, 255).astype(np.uint8)
    small = bytes_.reshape(n, GRID, GRID, COLOURS)
    large: UInt8 = small.repeat(PATCH_PX, axis=1).repeat(PATCH_PX, axis=2)
    return large


def _axes(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the first principal axes (D, up to 3) of centred rows (n, D), by the smaller side."""
    n, dim = rows.shape
    gram = rows @ rows.T if n < dim else rows.T @ rows
    last = len(gram) - 1
    _, vectors = linalg.eigh(gram, subset_by_index=(max(0, last - COLOURS + 1), last))
    axes = rows.T @ vectors[:, ::-1] if n < dim else vectors[:, ::-1]
    axes = axes / np.maximum(np.linalg.norm(axes, axis=0), np.float32(1e-12))
    signs = np.where(axes.sum(axis=0) < 0, -1, 1)  # not left to chance
    return np.asarray(axes * signs, np.float32)
