"""A frozen ViT that turns images into tokens: any module, its prefix read from itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from ...errors import CheckpointError, InputError, JobFailed, is_out_of_memory
from ..checkpoint import read as torchfiles
from ..checkpoint.header import SAFETENSORS, identify
from ..choices import check_choices, choice
from ..inference import devices
from ..inference.images import UInt8
from ..networks.optimus import GRID
from ..types import Progress

INSTALL = "pip install 'napari-hovernet[vit]'"
"""What to type for the optional backbone."""
H_OPTIMUS = "hf-hub:bioptimus/H-optimus-0"
"""Name under which timm knows the backbone of the Optimus family; its weights are gated."""
KNOWN: dict[str, dict[str, Any]] = {H_OPTIMUS: {"init_values": 1e-5, "dynamic_img_size": False}}
"""Arguments that some backbones want beside their name."""


@dataclass(frozen=True)
class BackboneParams:
    """How images go into a backbone; defaults are those of H-optimus-0."""

    size: int = choice(224, "Size", "Edge of its input; images are resized to it.", low=GRID)
    mean: tuple[float, float, float] = (0.707223, 0.578729, 0.703617)
    std: tuple[float, float, float] = choice(
        (0.211883, 0.230117, 0.177517), "Spread", "Of the colours, in 0..1.", above=0
    )
    batch: int = choice(4, "Batch", "Images at a time.", low=1)
    layer: int | None = choice(None, "Layer", "Tokens after this block.", low=1, none="the end")

    def __post_init__(self) -> None:
        check_choices(self)
        if len(self.mean) != 3 or len(self.std) != 3:
            raise InputError(f"mean {self.mean} and std {self.std} must be three numbers each.")


@dataclass(frozen=True, eq=False)
class Backbone:
    """A ViT, ready to run."""

    name: str
    module: nn.Module  # In eval mode, on ``device``.
    device: torch.device
    params: BackboneParams = field(default_factory=BackboneParams)

    @property
    def array(self) -> str:
        """Name of the tokens in a file: "features", or "layer_24" of a block within."""
        return "features" if self.params.layer is None else f"layer_{self.params.layer}"


def load_backbone(
    name: str = H_OPTIMUS,
    device: str = "auto",
    params: BackboneParams | None = None,
    weights: Path | None = None,
) -> Backbone:
    """Load a ViT through timm, which is installed with ``pip install 'napari-hovernet[vit]'``."""
    timm, params = _timm(), params or BackboneParams()
    arguments: dict[str, Any] = {"num_classes": 0, "img_size": params.size, **KNOWN.get(name, {})}
    try:
        module = timm.create_model(name, pretrained=weights is None, **arguments)
    except Exception as error:  # timm and the hub raise all kinds
        raise InputError(
            f"timm cannot make the backbone {name!r} ({_first_line(error)}). Gated weights need "
            "your own access (huggingface-cli login), or give the weights as a file."
        ) from error
    if weights is not None:
        _load_weights(module, weights)
    return as_backbone(module, name, device, params)


def as_backbone(
    module: nn.Module,
    name: str = "own backbone",
    device: str = "auto",
    params: BackboneParams | None = None,
) -> Backbone:
    """Take any ViT: one of timm, of transformers, of DINOv2, or a module that gives (B, T, D)."""
    where = devices.resolve_device(device)
    for weight in module.parameters():
        weight.requires_grad_(False)
    return Backbone(name, module.to(where).eval(), where, params or BackboneParams())


def prefix_tokens(module: nn.Module, n_tokens: int) -> int:
    """Tell how many tokens stand before the patches: as the module says, else by a square."""
    told = getattr(module, "num_prefix_tokens", None)
    if isinstance(told, int):
        return told
    for holder in (getattr(module, "config", None), module):
        registers = getattr(holder, "num_register_tokens", None)
        if isinstance(registers, int):
            return registers + 1
    return n_tokens - math.isqrt(n_tokens) ** 2


def image_tokens(backbone: Backbone, images: Sequence[UInt8]) -> npt.NDArray[np.float32]:
    """Compute the tokens of a few images, uint8 (H, W, 3), prefix included."""
    batch = torch.cat([prepared(image, backbone.params) for image in images])
    with torch.inference_mode():
        tokens = _forward(backbone, batch.to(backbone.device))
    if tokens.ndim != 3:
        raise InputError(
            f"{backbone.name} gives {tuple(tokens.shape)} instead of tokens (B, T, D); take a ViT."
        )
    n, prefix = tokens.shape[1], prefix_tokens(backbone.module, tokens.shape[1])
    if n - prefix != GRID * GRID:
        edge = math.isqrt(max(n - prefix, 0)) or 1
        raise InputError(
            f"{backbone.name} gives {n} tokens, {prefix} of them before the patches: {edge} x "
            f"{edge} patches, but the decoder reads {GRID} x {GRID}. Set the image size to "
            f"{backbone.params.size * GRID // edge} pixels, or take another backbone."
        )
    found: npt.NDArray[np.float32] = tokens.float().cpu().numpy()
    if not np.isfinite(found.sum(dtype=np.float64)):
        raise InputError(f"{backbone.name} gives tokens that are not finite; use float32.")
    return found


def prepared(image: UInt8, params: BackboneParams) -> torch.Tensor:
    """Resize and normalise one image: uint8 (H, W, 3) to float (1, 3, size, size)."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"An image has shape {image.shape} and dtype {image.dtype}; give uint8 (H, W, 3) RGB."
        )
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    edges = (params.size, params.size)
    if pixels.shape[2:] != edges:
        pixels = F.interpolate(pixels, edges, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (params.mean, params.std))
    return (pixels - mean) / std


def token_steps(
    backbone: Backbone, read: Callable[[int], UInt8], n: int
) -> Generator[Progress | npt.NDArray[np.float32], None, None]:
    """Compute the tokens of ``n`` images, which ``read`` gives by number, step by step."""
    done, size = 0, backbone.params.batch
    yield Progress(0, n, f"image 0 of {n}")
    while done < n:
        images = [read(i) for i in range(done, min(done + size, n))]
        try:
            tokens = image_tokens(backbone, images)
        except InputError:
            raise
        except Exception as error:
            if not is_out_of_memory(error) or size == 1:
                what = f"{type(error).__name__}: {_first_line(error)}"
                raise JobFailed(f"{backbone.name} failed ({what}).") from error
            size //= 2
            devices.release(backbone.device)
            yield Progress(done, n, "out of memory", f"out of memory: {size} images at a time")
            continue
        yield tokens
        done += len(images)
        yield Progress(done, n, f"image {done} of {n}")


# --- running --------------------------------------------------------------------------


def _forward(backbone: Backbone, batch: torch.Tensor) -> torch.Tensor:
    """Run, and take the tokens that come out at the end or of a block within."""
    module: Any = backbone.module
    run = getattr(module, "forward_features", module)
    if backbone.params.layer is None:
        return _tokens(run(batch))
    blocks, number = _blocks(module), backbone.params.layer
    if number > len(blocks):
        raise InputError(f"{backbone.name} has {len(blocks)} blocks; layer is {number}.")
    caught: list[Any] = []
    hook = blocks[number - 1].register_forward_hook(lambda *given: caught.append(given[-1]))
    try:
        run(batch)
    finally:
        hook.remove()
    return _tokens(caught[0])


def _blocks(module: nn.Module) -> list[nn.Module]:
    for path in ("blocks", "encoder.layer", "layers"):
        try:
            found: Any = attrgetter(path)(module)
        except AttributeError:
            continue
        if isinstance(found, nn.ModuleList | nn.Sequential):
            return list(found)
    raise InputError("This backbone does not name its blocks; leave the layer out.")


def _tokens(out: Any) -> torch.Tensor:
    """Find the tokens in what a backbone gives."""
    if isinstance(out, dict):  # DINOv2
        names = ("x_norm_clstoken", "x_norm_regtokens", "x_norm_patchtokens")
        parts = [out[name] for name in names if name in out]
        if parts:
            return torch.cat([p[:, None] if p.ndim == 2 else p for p in parts], 1)
        out = out.get("last_hidden_state", next(iter(out.values())))
    out = getattr(out, "last_hidden_state", out)
    found: Any = out[0] if isinstance(out, tuple | list) else out
    if not isinstance(found, torch.Tensor):
        raise InputError(f"The backbone gives a {type(found).__name__} instead of tokens.")
    return found


# --- loading --------------------------------------------------------------------------


def _timm() -> Any:
    try:
        return import_module("timm")
    except Exception as error:  # a torchvision that does not fit torch raises RuntimeError
        missing = getattr(error, "name", None) == "timm"
        why = "is not installed here" if missing else f"cannot be used ({_first_line(error)})"
        raise InputError(
            f"Tokens of images need timm, which {why}: {INSTALL}. Cached features (.npz) need no "
            "backbone."
        ) from error


def _load_weights(module: nn.Module, path: Path) -> None:
    form = identify(path)
    if form == SAFETENSORS:
        from safetensors.torch import load_file  # noqa: PLC0415 - on first use

        state: Any = load_file(path)
    else:
        state = torchfiles.read(path, form)
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    wanted = set(module.state_dict())
    try:
        module.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=True)
    except (RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path.name} does not fit the backbone: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(lines[:2])[:200] if lines else type(error).__name__
