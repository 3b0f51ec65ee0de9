"""Faults of networks: their files, weights, input, output, tokens, and the maps they wrote."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from faults_common import (
    DIM,
    GRID,
    PREFIX,
    Fault,
    Given,
    Plant,
    after_hv,
    every,
    function,
    network,
    predicted,
    returns,
    squares,
    undoes,
    weights,
    without,
)
from faults_common import both as first
from faults_data import INPUT
from torch.nn import functional

from napari_hovernet.core.networks.hovernet import HoVerNet
from napari_hovernet.core.networks.optimus import OptimusDecoder

# --- files -----------------------------------------------------------------------------

_FOLDER = tempfile.TemporaryDirectory(prefix="napari-hovernet-faults-")


def _file(make: Callable[[], Any], name: str) -> Plant:
    """Give a file in place of the model."""

    def plant(given: Given) -> Given:
        path, made = Path(_FOLDER.name) / name, make()
        path.write_text(made) if isinstance(made, str) else torch.save(made, path)
        return {**given, "model": path}

    return plant


def _hover_net(**kind: Any) -> dict[str, torch.Tensor]:
    """Make a state dict of the right names and shapes that takes no room."""
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in HoVerNet(**kind).state_dict().items()}
    return {k: torch.zeros(1).expand(s) if s else torch.tensor(0) for k, s in shapes.items()}


def _half_of_the_keys() -> dict[str, Any]:
    state = _hover_net(n_types=6)
    return {"desc": {k: v for k, v in state.items() if "decoder.hv" not in k}}


def _layers() -> dict[str, Any]:
    state = _hover_net(n_types=6)
    return state | {k.replace("decoder.tp", "decoder.ls"): v
                    for k, v in state.items() if "decoder.tp" in k}  # fmt: skip


def _pixel_shuffle() -> dict[str, Any]:
    state = OptimusDecoder(8, 4, None).state_dict()
    renamed = {k.replace(".conv.0", ".conv1").replace(".conv.3", ".conv2"): v
               for k, v in state.items()}  # fmt: skip
    return {"epoch": 3, "model_state_dict": renamed}


# --- weights ---------------------------------------------------------------------------


def _untrained(*parts: str) -> Plant:
    """Put parts of a network back to random numbers, as a partial load leaves them."""

    def change(net: Any) -> None:
        torch.manual_seed(3)
        for name, module in net.named_modules():
            if name.startswith(parts) and hasattr(module, "reset_parameters"):
                module.reset_parameters()

    return weights(change)


def _norms(change: Callable[[Any], None], part: str = "") -> Plant:
    """Change batch norms (those in a part of the network)."""

    def all_of(net: Any) -> None:
        for name, module in net.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d) and name.startswith(part):
                change(module)

    return weights(all_of)


def _other_statistics(norm: Any) -> None:
    norm.running_mean += 1.5 * norm.running_var.sqrt()
    norm.running_var *= 6


def _train_mode(norm: Any) -> None:
    norm.track_running_stats = False
    norm.running_mean = norm.running_var = None


def _half_dead(norm: Any) -> None:
    norm.weight[::2] = 0
    norm.bias[::2] = 0


def _explodes(norm: Any) -> None:
    norm.weight *= 300


def _nan(net: Any) -> None:
    first_one = next(iter(net.parameters()))
    first_one[(0,) * first_one.ndim] = float("nan")


def _exchanged(net: Any) -> None:
    """Load two layers of the same shape into each other's place."""
    a, b = net.down[3].conv2.weight, net.up[0].conv2.weight
    kept = a.clone()
    a.copy_(b)
    b.copy_(kept)


def _half_a_head(net: Any) -> None:
    """Lose most channels of the HV head."""
    net.heads["hv"][3].weight[:, 2:] = 0


# --- input and output ------------------------------------------------------------------


def _imagenet(x: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x / 255 - mean[:, None, None]) / std[:, None, None]


def _no_direction(hv: torch.Tensor) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    angle = 6.3 * functional.interpolate(
        torch.rand((len(hv), 1, 12, 12), generator=rng), hv.shape[-2:], mode="bilinear"
    )
    length = hv.square().sum(1, keepdim=True).sqrt()
    return torch.cat((length * angle.cos(), length * angle.sin()), 1)


def _one_logit(out: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read a sigmoid of channel 1 alone, whose zero lies elsewhere."""
    one = out["np"][:, 1:] + 3.0
    return {**out, "np": torch.cat((torch.zeros_like(one), one), 1)}


def _tiles(edge: int) -> Plant:
    """Predict in tiles without halo."""

    def own(image: Any) -> Any:
        prob, hv = np.zeros(image.shape[:2], "f4"), np.zeros((2, *image.shape[:2]), "f4")
        for r in range(0, image.shape[0], edge):
            for c in range(0, image.shape[1], edge):
                at = np.s_[r : r + edge, c : c + edge]
                maps = predicted(image[at])
                prob[at], hv[(slice(None), *at)] = maps.np, maps.hv
        return prob, hv

    return function(own)


def _half_a_tile_off(prob: Any, hv: Any) -> Any:
    """Stitch tiles of 64 px at places that are half a tile off in every other row of tiles."""
    for r in range(0, len(prob), 128):
        prob[r : r + 64] = np.roll(prob[r : r + 64], 32, 1)
        hv[:, r : r + 64] = np.roll(hv[:, r : r + 64], 32, 2)
    return prob, hv


def _upside_down(image: Any) -> Any:
    return predicted(np.ascontiguousarray(image[::-1]))


def _transposed(image: Any) -> Any:
    return predicted(np.ascontiguousarray(image.swapaxes(0, 1)))


def _averaged_flips(image: Any) -> Any:
    """Average over flips, with HV flipped as a plane alone."""
    a, b = predicted(image), predicted(np.ascontiguousarray(image[:, ::-1]))
    c, d = predicted(np.ascontiguousarray(image[::-1])), predicted(image[::-1, ::-1].copy())
    prob = (a.np + b.np[:, ::-1] + c.np[::-1] + d.np[::-1, ::-1]) / 4
    return prob, (a.hv + b.hv[..., ::-1] + c.hv[:, ::-1] + d.hv[:, ::-1, ::-1]) / 4


def _always_the_same(given: Given) -> Given:
    kept = predicted(given["images"][0])

    def own(image: Any) -> Any:
        size = image.shape[1::-1]
        planes = [cv2.resize(p, size, interpolation=0) for p in (kept.np, *kept.hv)]
        return planes[0], np.stack(planes[1:])

    return {**given, "model": own}


def _two_squares(given: Given) -> Given:
    given = squares()(given)
    return {**given, **{n: given[n][:2] for n in ("images", "labels")}}


def _some_fail(given: Given) -> Given:
    bad = [a[:8].sum() for a in given["images"][:2]]

    def own(image: Any) -> Any:
        if image[:8].sum() in bad:
            raise RuntimeError("index out of range")
        return predicted(image)

    return {**given, "model": own}


# --- tokens ----------------------------------------------------------------------------


def _with_prefix(prefix: int) -> Plant:
    """Build the decoder with another token prefix; its weights stay."""

    def plant(given: Given) -> Given:
        net = OptimusDecoder(DIM, 32, None, prefix)
        net.load_state_dict(given["model"].state_dict())
        return {**given, "model": net.eval()}

    return plant


def _patches(change: Callable[[Any], Any]) -> Plant:
    """Change the grid of patch tokens (16, 16, D)."""

    def one(tokens: Any) -> Any:
        grid = change(tokens[PREFIX:].reshape(GRID, GRID, -1))
        return np.concatenate((tokens[:PREFIX], grid.reshape(GRID * GRID, -1)))

    return every("features", one)


class _Negated(OptimusDecoder):
    def forward(self, x: torch.Tensor, token_prefix: int | None = None) -> Any:
        out = super().forward(x, token_prefix)
        return {**out, "hv": -out["hv"]}


def _negated(given: Given) -> Given:
    net = _Negated(DIM, 32, None, PREFIX)
    net.load_state_dict(given["model"].state_dict())
    return {**given, "model": net.eval()}


def _other_encoder(tokens: Any) -> Any:
    mixed = np.random.default_rng(5).standard_normal((DIM, DIM)) / np.sqrt(DIM)
    return (tokens @ mixed).astype("f4")


def _logits(prob: Any) -> Any:
    return np.log(prob.clip(1e-5, 1 - 1e-5) / (1 - prob).clip(1e-5, 1))


bare = without("labels")
CHECKPOINT = "model.checkpoint model.file model.weights"
WEIGHTS = "model.untrained model.weights model.checkpoint"
LIVES = "model.batch_norm model.activations model.untrained model.weights"
FINITE = "model.non_finite model.weights model.failures"
NP = "model.np model.np_channel model.np_activation model.np_empty"
LIE = "model.place model.orientation model.shift model.turns"
TILES = "model.tiles model.seams model.place"
DIRECTION = "model.hv_direction model.hv_order model.hv_sign model.hv_convention model.hv_own_shape"
LENGTH = "model.hv_length model.hv_scale model.hv_collapsed model.hv_zero model.hv_saturated"
UNKNOWN = "model.unknown model.score"
FOREIGN = INPUT + " model.batch_norm model.activations"
TOKENS = "model.token_prefix model.tokens"
RETRAIN = r"train|load|checkpoint|file|weights"
EVAL = r"eval|running|statistic|batch.?norm|train(ing)? mode"
TURN_BACK = ("maps_turn", undoes(lambda a: a[::-1]))

MODEL = (
    Fault("file: no HV branch", "model:purple", _file(_half_of_the_keys, "half.tar"), CHECKPOINT,
          (r"key|complete|hv|whole|missing|another|save",), "cheap"),
    Fault("file: HoVerNet+", "model:val", _file(_layers, "plus.pth"), CHECKPOINT,
          (r"hovernet\+|layer|another|not supported|kind that is known",), "cheap"),
    Fault("file: later token decoder", "tokens:gen", _file(_pixel_shuffle, "shuffle.pth"),
          CHECKPOINT, (r"pixel|variant|another|later|decoder",), "cheap"),
    Fault("file: a pointer of git lfs", "model:monuseg",
          _file(lambda: "version https://git-lfs.github.com/spec/v1\nsize 9\n", "lfs.tar"),
          CHECKPOINT, (r"download|lfs|checkpoint|another|file",), "cheap"),
    Fault("fast network never trained", "fast:purple", _two_squares,
          WEIGHTS + " " + UNKNOWN + " model.hv_direction", (RETRAIN,)),
    Fault("hv head untrained", "model:purple", _untrained("heads.hv"), WEIGHTS, (RETRAIN,)),
    Fault("encoder alone loaded", "model:monuseg", _untrained("up", "heads"), WEIGHTS, (RETRAIN,)),
    Fault("two layers exchanged", "model:white", weights(_exchanged),
          WEIGHTS + " model.activations model.batch_norm " + UNKNOWN, (RETRAIN,)),
    Fault("most of the hv head zero", "model:gen", weights(_half_a_head),
          WEIGHTS + " model.activations " + UNKNOWN + " " + LENGTH, (RETRAIN + "|zero|dead",)),
    Fault("half of a block dead", "model:purple", _norms(_half_dead, "down.1"), LIVES,
          (RETRAIN + "|dead|zero",)),
    Fault("exploding", "model:white", _norms(_explodes, "down.2"), LIVES, (RETRAIN + "|scale",)),
    Fault("batch norm of other data", "model:monuseg", _norms(_other_statistics), LIVES,
          (EVAL + "|" + RETRAIN,)),
    Fault("statistics lost", "model:val", _norms(lambda m: m.reset_running_stats()), LIVES,
          (EVAL + "|" + RETRAIN,)),
    Fault("batch norm in training mode", "model:consep", _norms(_train_mode), LIVES + " " + TILES,
          (EVAL,)),
    Fault("NaN weight", "model:purple", weights(_nan), FINITE, (RETRAIN,)),
    Fault("dropout in use", "model:val",
          network(before=lambda x: functional.dropout(x, 0.3, training=True)),
          TILES + " model.deterministic model.activations model.random",
          (r"dropout|eval|random|deterministic",)),
    Fault("BGR in the network", "model:purple", network(before=lambda x: x.flip(1)), INPUT,
          (("channel_order", "bgr"),)),
    Fault("divided by 255 twice", "model:monuseg", network(before=lambda x: x / 255), FOREIGN,
          (r"255|divid|twice|range",)),
    Fault("normalised for another network", "model:white", network(before=_imagenet), FOREIGN,
          (r"normalis|mean|statistic|imagenet|range",)),
    Fault("gamma in the network", "model:monuseg",
          network(before=lambda x: 255 * (x / 255).clamp(0, 1) ** 3), FOREIGN,
          (("input_gamma", lambda v: 0.25 < v < 0.5), r"gamma|linear")),
    Fault("offset in the network", "model:consep",
          network(before=lambda x: (x + 100).clamp(0, 255)), FOREIGN,
          (r"offset|add|subtract|mean|level",)),
    Fault("np channel 0", "model:purple", network(after=lambda o: {**o, "np": o["np"].flip(1)}), NP,
          (("np_channel", 0),)),
    Fault("np biased", "model:val", network(after=_one_logit), NP + " separation.threshold",
          (("np_threshold", lambda v: v > 0.6), r"sigmoid|softmax|threshold|bias")),
    Fault("np through two sigmoids", "function:white",
          returns(lambda p, hv: (1 / (1 + np.exp(-p)), hv)), NP + " separation.threshold",
          (r"sigmoid|twice|softmax|activation", ("np_threshold", lambda v: 0.55 < v < 0.7))),
    Fault("np cut at 0.9 before use", "function:consep",
          returns(lambda p, hv: ((p > 0.97).astype("f4"), hv)),
          NP + " separation.threshold " + UNKNOWN, (r"threshold|probab|binar|0 and 1",)),
    Fault("hv swapped", "model:purple", after_hv(lambda hv: hv.flip(1)), DIRECTION,
          (("hv_order", "vh"),)),
    Fault("hv [V, H] in a function", "function:one", returns(lambda p, hv: (p, hv[::-1].copy())),
          DIRECTION, (("hv_order", "vh"),)),
    Fault("hv negated", "model:white", after_hv(lambda hv: -hv), DIRECTION,
          (("hv_sign", "inward"),)),
    Fault("hv: vertical negated", "model:consep",
          after_hv(lambda hv: hv * torch.tensor([1.0, -1.0])[:, None, None]), DIRECTION,
          (r"vertical|row|one (axis|channel)|v\b|y\b|negat",)),
    Fault("hv of near nothing", "model:purple",
          after_hv(lambda hv: 0.0 * hv + 0.01 * torch.randn(hv.shape)), LENGTH + " " + DIRECTION,
          (RETRAIN + "|loss|augment|target",)),
    Fault("hv without direction", "model:val", after_hv(_no_direction), DIRECTION,
          (r"train|augment|target|convention",)),
    Fault("hv saturated", "model:white", after_hv(lambda hv: torch.tanh(30 * hv)), LENGTH,
          (r"tanh|saturat|activation|clip|logit|twice",)),
    Fault("hv of one channel", "model:purple",
          after_hv(lambda hv: torch.cat((hv[:, :1], 0 * hv[:, 1:]), 1)), LENGTH + " " + DIRECTION,
          (r"channel|vertical|one of|train|head",)),
    Fault("hv noisy", "model:monuseg", after_hv(lambda hv: hv + 0.8 * torch.randn(hv.shape)),
          "model.hv_noise model.hv_direction " + TILES,
          (r"nois|smooth|train|dropout|random|eval",)),
    Fault("hv smeared", "function:consep",
          returns(lambda p, hv: (p, np.stack([cv2.GaussianBlur(x, (0, 0), 9) for x in hv]))),
          "model.hv_noise model.hv_blur " + DIRECTION + " " + LENGTH,
          (r"blur|smooth|smear|resiz|resolution|train",)),
    Fault("hv without negative values", "function:purple",
          returns(lambda p, hv: (p, hv.clip(0, 1))), LENGTH + " " + DIRECTION + " model.hv_outside",
          (r"negative|clip|relu|sigmoid|sign|activation",)),
    Fault("hv overflows in float16", "function:white",
          returns(lambda p, hv: (p, np.where(abs(hv) > 0.9, np.inf, hv))), FINITE,
          (r"float16|overflow|finite|precision|16|nan",)),
    Fault("hv flips averaged", "function:val", function(_averaged_flips), LENGTH + " " + DIRECTION,
          (r"flip|augment|averag|negat|train",), "slow"),
    Fault("maps 56 px to the right", "model:purple",
          network(after=lambda o: {k: v.roll(56, -1) for k, v in o.items()}), LIE,
          (("maps_shift", lambda v: abs(v[0]) <= 2 and abs(v[1] + 56) <= 2),)),
    Fault("maps 4 px off", "function:monuseg",
          returns(lambda p, hv: (np.roll(p, (4, 4), (0, 1)), np.roll(hv, (4, 4), (1, 2)))), LIE,
          (("maps_shift", [-4, -4]),)),
    Fault("maps of half-shifted tiles", "function:white", returns(_half_a_tile_off),
          LIE + " " + TILES, (r"tile|stitch|offset|place|shift",)),
    Fault("maps upside down", "function:purple", function(_upside_down), LIE, (TURN_BACK,)),
    Fault("maps upside down, no labels", "function:monuseg", first(bare, function(_upside_down)),
          LIE, (TURN_BACK, r"flip|mirror|turn|upside")),
    Fault("maps transposed", "function:consep", first(squares(), function(_transposed)), LIE,
          (("maps_turn", undoes(np.transpose)),)),
    Fault("tiles of 32 px", "function:purple", _tiles(32), TILES,
          (r"tile|halo|overlap|margin|context",)),
    Fault("tiles of 48 px, no labels", "function:monuseg", first(bare, _tiles(48)), TILES,
          (r"tile|halo|overlap|margin|context",)),
    Fault("the same answer for every image", "function:white", _always_the_same,
          UNKNOWN + " model.constant model.activations model.untrained " + LIE + " data.pairing",
          (r"same|constant|cache|input|order|every",)),
    Fault("fails on some", "function:val", _some_fail, "model.failures data.files",
          (r"fail|error|network|size|look",)),
    Fault("tokens: prefix 1", "tokens:gen", _with_prefix(1), TOKENS, (("token_prefix", 5),)),
    Fault("tokens: prefix 1, no labels", "tokens:gen", first(bare, _with_prefix(1)), TOKENS,
          (("token_prefix", 5),)),
    Fault("tokens: grid transposed", "tokens:gen", _patches(lambda g: g.swapaxes(0, 1)),
          LIE + " model.tokens", (r"transpos|row|column|order|turn|grid", ("maps_turn", ...))),
    Fault("tokens: grid upside down", "tokens:gen", _patches(lambda g: g[::-1]),
          LIE + " model.tokens", (r"flip|mirror|upside|row|turn|grid", ("maps_turn", ...))),
    Fault("tokens: of the next image", "tokens:gen",
          lambda g: {**g, "features": [*g["features"][1:], g["features"][0]]},
          "data.pairing data.place " + LIE + " model.tokens",
          (r"pair|order|belong|sample", ("image_order", ...))),
    Fault("tokens: of another encoder", "tokens:gen", every("features", _other_encoder),
          UNKNOWN + " model.tokens " + FOREIGN, (r"encoder|feature|token|another|train",)),
    Fault("tokens: hv negated", "tokens:gen", _negated, DIRECTION, (("hv_sign", "inward"),)),
    Fault("given maps: [V, H]", "maps:golden", every("hv", lambda a: a[::-1].copy()), DIRECTION,
          (("hv_order", "vh"),)),
    Fault("given maps: inward", "maps:purple", every("hv", lambda a: -a), DIRECTION,
          (("hv_sign", "inward"),)),
    Fault("given maps: background", "maps:golden", every("np", lambda a: 1 - a), NP,
          (("np_channel", 0),)),
    Fault("given maps: hv mirrored, np not", "maps:white",
          every("hv", lambda a: a[:, :, ::-1].copy()), DIRECTION + " " + LIE,
          (r"mirror|flip|np and hv|hv alone|turn",)),
    Fault("given maps: logits", "maps:monuseg", every("np", _logits), NP,
          (("np_activation", "logits"), r"sigmoid|softmax|logit")),
    Fault("given maps: hv times 127", "maps:purple", every("hv", lambda a: 127 * a), LENGTH,
          (("hv_scale", 1 / 127), r"127|divid")),
    Fault("given maps: NaN", "maps:consep", every("hv", lambda a: np.where(a > 0.9, np.nan, a)),
          FINITE + " data.files", (r"nan|finite",)),
)  # fmt: skip
