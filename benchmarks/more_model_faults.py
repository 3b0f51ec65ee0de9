"""Faults of networks, of what they see, of token decoders, and pairs across families.

Planted by planted_faults.py beside its own; with 1, 3 and 8 images, real and generated.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from fault_library import (
    BASES,
    Fault,
    Given,
    after_hv,
    changed,
    every,
    model,
    put,
    tampered,
    weights,
    with_model,
)
from scipy import ndimage
from torch.nn import functional

import napari_hovernet as nh
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.tokens.backbone import TokenFamilyParams, tokens_of

DIM, PREFIX, GRID = 64, 5, 16
STEPS, SAMPLES = 90, 6

# --- token decoders --------------------------------------------------------------------


@cache
def token_samples(n: int, seed: int) -> tuple[list[np.ndarray], ...]:
    """Make images, labels and tokens that know their nuclei."""
    made = [tissue((256, 256), seed=seed + i) for i in range(n)]
    params = TokenFamilyParams(dim=DIM, prefix=PREFIX)
    tokens = [tokens_of(t.labels, params, seed + i) for i, t in enumerate(made)]
    return [t.image for t in made], [t.labels for t in made], tokens


@cache
def decoder() -> OptimusDecoder:
    """Train a small decoder on some samples, for a minute at most."""
    torch.manual_seed(0)
    _, labels, tokens = token_samples(SAMPLES, 100)
    small = [cv2.resize(a.astype("f4"), (224, 224), interpolation=cv2.INTER_NEAREST)
             for a in labels]  # fmt: skip
    true = [a.astype(np.int32) for a in small]
    x = torch.from_numpy(np.stack(tokens))
    inside = torch.from_numpy(np.stack([(a > 0).astype(np.int64) for a in true]))
    hv = torch.from_numpy(np.stack([hv_targets(a) for a in true]))
    network = OptimusDecoder(DIM, 32, None, PREFIX).train()
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    for step in range(STEPS):
        some = torch.arange(2) + 2 * (step % (SAMPLES // 2))
        out = network(x[some])
        mask = inside[some]
        error = (out["hv"] - hv[some]).square().sum(1)
        loss = functional.cross_entropy(out["np"], mask) + 2 * (error * mask).sum() / mask.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def with_tokens(n: int = 4) -> Given:
    """Run the small decoder on tokens of samples it has not seen."""
    images, labels, tokens = token_samples(n, 200)
    return {"model": decoder(), "images": images, "labels": labels, "features": tokens}


def prefix_of(prefix: int) -> Callable[[Given], Given]:
    """Build the decoder with another token prefix; its weights stay."""

    def plant(given: Given) -> Given:
        network = OptimusDecoder(DIM, 32, None, prefix)
        network.load_state_dict(given["model"].state_dict())
        return {**given, "model": network.eval()}

    return plant


def patches(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Given], Given]:
    """Change the grid of patch tokens (16, 16, D)."""

    def one(tokens: np.ndarray) -> np.ndarray:
        grid = change(tokens[PREFIX:].reshape(GRID, GRID, -1))
        return np.concatenate((tokens[:PREFIX], grid.reshape(GRID * GRID, -1)))

    return every("features", one)


def without(*names: str) -> Callable[[Given], Given]:
    """Leave something out."""
    return lambda given: {k: v for k, v in given.items() if k not in names}


def both(*plants: Callable[[Given], Given]) -> Callable[[Given], Given]:
    """Do one after the other."""

    def plant(given: Given) -> Given:
        for each in plants:
            given = each(given)
        return given

    return plant


# --- networks --------------------------------------------------------------------------


def function(change: Callable[[Any, np.ndarray], Any]) -> Callable[[Given], Given]:
    """Give a plain function of an image in place of a model."""
    return lambda given: {**given, "model": lambda image: change(given["model"], image)}


def zero_image(inner: Any, image: np.ndarray) -> Any:
    """Divide by 255 and make whole numbers of it again."""
    return nh.predict(inner, (image / 255).astype(np.uint8))


def bgr_inside(inner: Any, image: np.ndarray) -> Any:
    """Turn the channels round."""
    return nh.predict(inner, np.ascontiguousarray(image[..., ::-1]))


def vh_inside(inner: Any, image: np.ndarray) -> Any:
    """Return HV as [V, H]."""
    maps = nh.predict(inner, image)
    return maps.np, maps.hv[::-1].copy()


def background_inside(inner: Any, image: np.ndarray) -> Any:
    """Return the probability of the background."""
    maps = nh.predict(inner, image)
    return 1 - maps.np, maps.hv


def turned_inside(inner: Any, image: np.ndarray) -> Any:
    """Predict the image mirrored top to bottom, and forget to turn back."""
    maps = nh.predict(inner, np.ascontiguousarray(image[::-1]))
    return maps.np, maps.hv


def tiles_inside(edge: int) -> Callable[[Any, np.ndarray], Any]:
    """Predict in tiles without halo."""

    def run(inner: Any, image: np.ndarray) -> Any:
        prob, hv = np.zeros(image.shape[:2], "f4"), np.zeros((2, *image.shape[:2]), "f4")
        for r in range(0, image.shape[0], edge):
            for c in range(0, image.shape[1], edge):
                at = np.s_[r : r + edge, c : c + edge]
                maps = nh.predict(inner, image[at])
                prob[at], hv[(slice(None), *at)] = maps.np, maps.hv
        return prob, hv

    return run


def dropout(x: torch.Tensor) -> torch.Tensor:
    """Dropout that nobody switched off."""
    return functional.dropout(x, 0.3, training=True)


def imagenet(x: torch.Tensor) -> torch.Tensor:
    """Normalise as for another network."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x / x.max().clamp(min=1) - mean[:, None, None]) / std[:, None, None]


def untrained(*parts: str) -> Callable[[Any], None]:
    """Put parts of a network back to random numbers."""

    def change(network: Any) -> None:
        torch.manual_seed(3)
        for name, module in network.named_modules():
            if name.startswith(parts) and hasattr(module, "reset_parameters"):
                module.reset_parameters()

    return change


def lost_statistics(network: Any) -> None:
    """Lose what batch norm knows of the data, as a load of parameters alone does."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()


def infinite(network: Any) -> None:
    """Overflow one weight."""
    list(network.parameters())[-3].flatten()[0] = float("inf")


def file_of(make: Callable[[], Any], name: str = "model.pth") -> Callable[[Given], Given]:
    """Give a file in place of the model."""

    def plant(given: Given) -> Given:
        path = Path(tempfile.mkdtemp()) / name
        made = make()
        path.write_text(made) if isinstance(made, str) else torch.save(made, path)
        return {**given, "model": path}

    return plant


def partial() -> dict[str, torch.Tensor]:
    """Keep the first half of a decoder's weights."""
    state = OptimusDecoder(8, 4, None).state_dict()
    return dict(list(state.items())[: len(state) // 2])


def pixel_shuffle() -> dict[str, Any]:
    """Name layers as the later decoder does."""
    state = OptimusDecoder(8, 4, None).state_dict()
    return {"model_state_dict": {
        k.replace(".conv.0", ".conv1").replace(".conv.3", ".conv2"): v for k, v in state.items()
    }}  # fmt: skip


# --- images and separations ------------------------------------------------------------


def noisy(image: np.ndarray) -> np.ndarray:
    """Add strong noise."""
    noise = np.random.default_rng(0).normal(0, 70, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def unfocused(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    """Blur."""
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma)


def flat_channel(channel: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    """Lose one channel."""

    def change(image: np.ndarray) -> np.ndarray:
        out = image.copy()
        out[..., channel] = value
        return out

    return change


def strict_mask(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Cut well, of what is all but certain to be nucleus."""
    labels = nh.separate(nh.Maps(np=np_map, hv=hv)).labels
    return np.where(np_map > 0.98, labels, 0)


def every_pixel_a_seed(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Cut nuclei into squares."""
    rows, cols = np.indices(np_map.shape) // 8
    return np.where(np_map > 0.5, rows * 1000 + cols + 1, 0)


def distance_only(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Label what is left of the mask after erosion, and grow it back; HV is not looked at."""
    mask = np_map > 0.5
    seeds = ndimage.label(ndimage.binary_erosion(mask, iterations=1))[0]
    r, c = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return np.where(mask, seeds[r, c], 0)


def with_generated() -> Given:
    """Three generated images."""
    made = [tissue((256, 300), seed=40 + i) for i in range(3)]
    return {"model": model(), "images": [t.image for t in made],
            "labels": [t.labels for t in made], "separation": "local"}  # fmt: skip


BASES["three"], BASES["one"] = lambda: with_model(3), lambda: with_model(1, "train")
BASES.update(generated=with_generated, tokens=with_tokens)
TOKEN_FAULT = ("model.token_prefix",)
FOREIGN = ("model.normalisation", "model.input_range", "model.batch_norm", "data.images")
TILES, LIE = ("model.tiles",), ("model.orientation",)
UNLABELLED = without("labels")

MORE = (
    Fault("tokens: prefix 1", "tokens", prefix_of(1), TOKEN_FAULT),
    Fault("tokens: prefix 1, no labels", "tokens", both(UNLABELLED, prefix_of(1)), TOKEN_FAULT),
    Fault("tokens: a register included", "tokens", prefix_of(4), TOKEN_FAULT),
    Fault("tokens: CLS included, no labels", "tokens", both(UNLABELLED, prefix_of(0)),
          TOKEN_FAULT),
    Fault("tokens: grid transposed", "tokens", patches(lambda g: g.swapaxes(0, 1)), LIE),
    Fault("tokens: grid transposed, no labels", "tokens",
          both(UNLABELLED, patches(lambda g: g.swapaxes(0, 1))), LIE),
    Fault("tokens: grid upside down", "tokens", patches(lambda g: g[::-1]), LIE),
    Fault("tokens: of the next image", "tokens",
          lambda g: {**g, "features": [*g["features"][1:], g["features"][0]]},
          ("data.pairing", "model.shift")),
    Fault("tokens: ten times larger", "tokens", every("features", lambda a: a * 10),
          ("model.batch_norm", "model.activations", "model.input_range")),
    Fault("tokens: hv negated", "tokens",
          lambda g: {**g, "model": _negated(g["model"])}, ("model.hv_sign",)),
    Fault("tiles of 32 px", "three", function(tiles_inside(32)), TILES),
    Fault("tiles of 48 px, no labels", "three", both(UNLABELLED, function(tiles_inside(48))),
          TILES),
    Fault("tiles of 192 px", "three", function(tiles_inside(192)), TILES),
    Fault("dropout in use", "three", tampered(before=dropout), TILES),
    Fault("normalised for another network", "three", tampered(before=imagenet), FOREIGN),
    Fault("inverted in the network", "three", tampered(before=lambda x: x.amax() - x), FOREIGN),
    Fault("function: bgr", "three", function(bgr_inside), ("model.channel_order",)),
    Fault("function: whole numbers of 0..1", "three", function(zero_image),
          ("model.input_range",)),
    Fault("function: [V, H]", "one", function(vh_inside), ("model.hv_order",)),
    Fault("function: background", "one", function(background_inside), ("model.np_channel",)),
    Fault("function: upside down, no labels", "three",
          both(UNLABELLED, function(turned_inside)), LIE),
    Fault("hv with noise", "three",
          after_hv(lambda hv: hv + 0.8 * torch.randn(hv.shape)), ("model.hv_noise", "model.tiles")),
    Fault("decoder untrained", "three", weights(untrained("up.0", "up.1")),
          ("model.untrained",)),
    Fault("np head untrained", "one", weights(untrained("heads.np")), ("model.untrained",)),
    Fault("statistics lost", "three", weights(lost_statistics),
          ("model.batch_norm", "model.untrained")),
    Fault("infinite weight", "generated", weights(infinite), ("model.non_finite",)),
    Fault("file: half of the keys", "three", file_of(partial), ("model.checkpoint",)),
    Fault("file: pixel shuffle", "three", file_of(pixel_shuffle), ("model.checkpoint",)),
    Fault("file: no checkpoint", "three", file_of(lambda: "epoch,loss\n1,0.3\n"),
          ("model.checkpoint",)),
    Fault("noise", "three", every("images", noisy), ("data.images",)),
    Fault("a little more out of focus", "three", every("images", unfocused(6)),
          ("data.images",)),
    Fault("green lost", "three", every("images", flat_channel(1, 0)), ("data.images",)),
    Fault("blue full, one image", "one", every("images", flat_channel(2, 255)),
          ("data.images",)),
    Fault("cut of what is certain", "three", put(separation=strict_mask),
          ("separation.threshold", "separation.oracle", "separation.under")),
    Fault("cut into squares", "three", put(separation=every_pixel_a_seed),
          ("separation.over", "separation.oracle", "separation.relabel", "separation.tile")),
    Fault("cut without hv", "three", put(separation=distance_only),
          ("separation.components", "separation.relabel", "separation.under",
           "separation.oracle")),
    Fault("scales too coarse", "generated", changed(scales=(9.0,)), ("separation.under",)),
)  # fmt: skip

MORE_PAIRS = (
    ("cut without hv", "function: [V, H]"),
    ("tiles of 32 px", "labels moved"),
    ("green lost", "relabel preset"),
    ("function: bgr", "own rim seeds"),
    ("labels mirrored", "statistics lost"),
    ("hv swapped", "np channel 0"),
    ("hv negated", "maps moved 56 px"),
    ("labels moved", "depth too large"),
    ("tokens: prefix 1", "relabel preset"),
    ("tokens: grid transposed", "tokens: hv negated"),
    ("decoder untrained", "magnitude peaks preset"),
    ("file: half of the keys", "labels mirrored"),
    ("images too small", "hv swapped"),
    ("labels are components", "bgr in the network"),
    ("duplicates", "cut into squares"),
)


class _Negated(OptimusDecoder):
    def forward(self, x: torch.Tensor, token_prefix: int | None = None) -> Any:
        out = super().forward(x, token_prefix)
        return {**out, "hv": -out["hv"]}


def _negated(network: Any) -> Any:
    made = _Negated(DIM, 32, None, network.token_prefix)
    made.load_state_dict(network.state_dict())
    return made.eval()


def _function() -> Given:
    return {**with_model(3), "model": lambda image: nh.predict(model(), image)}


MORE_HEALTHY: dict[str, Callable[[], Given]] = {
    "token decoder, tokens and labels": with_tokens,
    "token decoder, no labels": lambda: UNLABELLED(with_tokens(3)),
    "a plain function, three images": _function,
    "built-in model, one training image": BASES["one"],
    "built-in model, three images a little blurred": lambda: every("images", unfocused(0.8))(
        with_model(3)
    ),
    "built-in model, no labels, loss": lambda: {**UNLABELLED(with_model(3)), "loss": HoverLoss()},
}
