"""Cached tokens of a frozen ViT through a token decoder: stacks of NP, HV and type maps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import linalg

from ...errors import InputError, JobFailed, UserError
from ..hv import HVConvention, convert
from ..inference import devices
from ..inference.devices import free_memory
from ..inference.images import UInt8
from ..networks.optimus import GRID, OUTPUT
from ..types import Float32, Maps, Model, Progress

PATCH_PX = 14
"""Edge of a patch in pixels of the maps."""
AS_FILE = "file"
HISTORICAL = "historical 1:257"
TOKEN_PREFIXES: Mapping[str, int | None] = MappingProxyType(
    {AS_FILE: None, "0": 0, "1": 1, "5": 5, HISTORICAL: 1}
)
"""Tokens before the first patch, by name of the choice; None = as the checkpoint says."""
PREFIX_WORDS: Mapping[str, str] = MappingProxyType(
    {
        AS_FILE: "as the checkpoint says",
        "0": "no prefix: the first token is a patch",
        "1": "CLS alone, then patches",
        "5": "CLS and four registers, then patches (H-optimus-0)",
        HISTORICAL: "the slice 1:257 that the first checkpoints were trained with; of 261 tokens "
        "it takes four registers for patches",
    }
)
"""What each choice means."""
_SHORT = {"historical": HISTORICAL}


def choice_named(name: str) -> str:
    """Return the full name of a choice."""
    found = _SHORT.get(name, name)
    if found not in TOKEN_PREFIXES:
        raise InputError(
            f"The token prefix is {name!r}; choose one of {', '.join(TOKEN_PREFIXES)}."
        )
    return found


def prefix_of(choice: str, stored: int) -> int:
    """Return the number of tokens before the first patch."""
    prefix = TOKEN_PREFIXES[choice_named(choice)]
    return stored if prefix is None else prefix


def slice_words(prefix: int, n_tokens: int) -> str:
    """Say what a prefix that is not that of the tokens does to the maps; "" if it is.

    The patches are taken for the last 256 tokens, as every ViT has them.
    """
    patches = GRID * GRID
    off = n_tokens - patches - prefix
    if off <= 0:
        return ""
    last = prefix + patches
    start = (
        f"tokens {prefix}:{last} of {n_tokens} are read as patches, which are the last {patches}:"
    )
    return (
        f"{start} maps come out {off} columns ({off * PATCH_PX} px) to the right, wrapped into "
        "the next row, unless the decoder was trained so"
    )


MEMORY_SHARE = 0.5
"""Share of the free memory that the maps of all samples may take."""


@dataclass(frozen=True)
class TokenParams:
    """How tokens go through the decoder."""

    prefix: str = AS_FILE
    batch: int = 8  # Samples at a time

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", choice_named(self.prefix))
        if self.batch < 1:
            raise InputError(f"batch is {self.batch}; give 1 or more samples at a time.")


@dataclass(frozen=True, eq=False)
class TokenMaps:
    """Maps of many samples."""

    np: Float32  # NP probability, 0..1
    hv: Float32  # [H, V] outward
    types: Float32 | None  # Type probabilities where the decoder has types
    indices: tuple[int, ...]  # Which sample of the file each one is
    errors: Mapping[int, str] = field(default_factory=dict)
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


def predict_tokens(
    model: Model,
    features: npt.NDArray[Any],
    params: TokenParams | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> TokenMaps:
    """Decode cached tokens.

    ``features`` float (N, T, D).
    """
    steps = predict_tokens_steps(model, features, params)
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            maps: TokenMaps = stop.value
            return maps
        if progress is not None:
            progress(step)


def predict_tokens_steps(
    model: Model,
    features: npt.NDArray[Any],
    params: TokenParams | None = None,
    indices: Sequence[int] | None = None,
) -> Generator[Progress, None, TokenMaps]:
    """Decode as :func:`predict_tokens`, step by step, all samples or those in ``indices``."""
    params = TokenParams() if params is None else params
    check_tokens(model, features.shape, features.dtype, params.prefix)
    wanted = tuple(range(len(features))) if indices is None else tuple(indices)
    n_types = int(model.network.config.get("n_types") or 0)
    stacks = _empty(len(wanted), n_types)
    errors: dict[int, str] = {}
    try:
        yield from _decoded(model, features, params, wanted, (stacks, errors))
    finally:
        devices.release(model.device)
    if errors and len(errors) == len(wanted):
        raise InputError(next(iter(errors.values())))
    note = slice_words(prefix_of(params.prefix, stored_prefix(model)), features.shape[1])
    probability, hv, types = stacks
    return TokenMaps(probability, hv, types, wanted, errors, (note,) if note else ())


def stored_prefix(model: Model) -> int:
    """Return the token prefix that a decoder was built with."""
    return int(model.network.config["token_prefix"])


def check_tokens(
    model: Model, shape: tuple[int, ...], dtype: np.dtype[Any], choice: str = AS_FILE
) -> None:
    """Check that a decoder can read an array of tokens."""
    if model.network.accepts != "tokens":
        raise InputError(
            f"The {model.info.architecture} network takes images, not tokens; choose a checkpoint "
            "of the token decoder (Optimus .pth)."
        )
    dim, prefix = int(model.network.config["embed_dim"]), prefix_of(choice, stored_prefix(model))
    if len(shape) != 3 or dtype.kind != "f":
        raise InputError(
            f"Tokens have shape {tuple(shape)} and dtype {dtype}; they are (N, {prefix + 256}, "
            f"{dim}) of float16 or float32."
        )
    if shape[2] != dim:
        raise InputError(
            f"The tokens are {shape[2]} long, this decoder reads {dim}: they come from another "
            "backbone, or the checkpoint does."
        )
    if shape[1] < prefix + 256:
        raise InputError(
            f"There are {shape[1]} tokens per sample; with {prefix} before the patches it takes "
            f"{prefix + 256} or more. Choose a smaller token prefix."
        )


def decode_tokens(model: Model, tokens: npt.NDArray[Any], prefix: int) -> list[Maps]:
    """Decode one batch of tokens (B, T, D), already checked."""
    batch = torch.from_numpy(np.ascontiguousarray(tokens, np.float32)).to(model.device)
    model.network.eval()
    with torch.inference_mode():
        out = model.network(batch, prefix)
        probability = out["np"].float().softmax(1)[:, 1].cpu().numpy()
        raw = out["hv"].float().cpu().numpy()
        types = out["tp"].float().softmax(1).cpu().numpy() if "tp" in out else None
    named = HVConvention.preset(model.info.hv_convention)
    claimed = HVConvention(order=named.order, sign=named.sign)
    return [
        Maps(
            probability[i],
            convert(raw[i], claimed, HVConvention()),
            None if types is None else types[i],
        )
        for i in range(len(tokens))
    ]


_Out = tuple[tuple[Float32, Float32, "Float32 | None"], dict[int, str]]


def _empty(n: int, n_types: int) -> tuple[Float32, Float32, Float32 | None]:
    needed = n * (3 + n_types) * OUTPUT * OUTPUT * 4
    free = free_memory()
    if needed > MEMORY_SHARE * free:
        raise InputError(
            f"The maps of {n} samples take {needed / 1e9:.1f} GB, of {free / 1e9:.1f} GB free; "
            "take fewer samples."
        )
    types = np.zeros((n, n_types, OUTPUT, OUTPUT), np.float32) if n_types else None
    hv = np.zeros((n, 2, OUTPUT, OUTPUT), np.float32)
    return np.zeros((n, OUTPUT, OUTPUT), np.float32), hv, types


def _decoded(
    model: Model,
    features: npt.NDArray[Any],
    params: TokenParams,
    wanted: tuple[int, ...],
    out: _Out,
) -> Generator[Progress, None, None]:
    """Fill the stacks; on lack of memory go on with smaller batches."""
    (probability, hv, types), errors = out
    prefix, size, done = prefix_of(params.prefix, stored_prefix(model)), params.batch, 0
    yield Progress(0, len(wanted), f"sample 0 of {len(wanted)}")
    while done < len(wanted):
        places = range(done, min(done + size, len(wanted)))
        good, tokens = _read(features, [(p, wanted[p]) for p in places], errors)
        notice = ""
        try:
            found = _decode(model, tokens, prefix)
        except MemoryError:
            size, notice = _smaller(size)
            devices.release(model.device)
            yield Progress(done, len(wanted), "out of memory", notice)
            continue
        for place, maps in zip(good, found, strict=True):
            if isinstance(maps, str):
                errors[place] = f"sample {wanted[place]}: {maps}"
                continue
            probability[place], hv[place] = maps.np, maps.hv
            if types is not None and maps.types is not None:
                types[place] = maps.types
        done = places.stop
        yield Progress(done, len(wanted), f"sample {done} of {len(wanted)}")


def _read(
    features: npt.NDArray[Any], places: list[tuple[int, int]], errors: dict[int, str]
) -> tuple[list[int], npt.NDArray[Any]]:
    """Read the tokens of a batch; samples with NaN go into ``errors``."""
    good, tokens = [], []
    for place, index in places:
        values = np.asarray(features[index], np.float32)
        if not np.isfinite(values.sum(dtype=np.float64)):
            errors[place] = (
                f"sample {index}: tokens hold NaN or infinite values; compute them again."
            )
            continue
        good.append(place)
        tokens.append(values)
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
        return [
            found for i in range(len(tokens)) for found in _decode(model, tokens[i : i + 1], prefix)
        ]
    except Exception as error:
        if devices.is_out_of_memory(error):
            raise MemoryError from error
        raise JobFailed(f"The decoder failed ({type(error).__name__}: {error}).") from error


def _smaller(size: int) -> tuple[int, str]:
    if size == 1:
        raise JobFailed("Not enough memory for one sample: close other programs, or use the CPU.")
    return size // 2, f"out of memory: {size // 2} samples at a time"


MOST_ROWS = 1024
"""Tokens from which the principal components are taken, evenly spread."""
SPREAD = 2.5
"""Standard deviations to either side of the mean that the colours span."""
COLOURS = 3


def principal_rgb(tokens: npt.NDArray[Any]) -> UInt8:
    """Show patch tokens by their first three principal components, as red, green and blue."""
    patches = GRID * GRID
    n, edge = len(tokens), GRID * PATCH_PX
    grey = np.full((n, edge, edge, COLOURS), 128, np.uint8)
    if tokens.ndim != 3 or tokens.shape[1] < patches or not n:
        return grey
    values = np.asarray(tokens[:, -patches:], np.float32).reshape(n * patches, -1)
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
