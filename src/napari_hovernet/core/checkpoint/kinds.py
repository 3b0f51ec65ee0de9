"""Recognise whose network a dict of weights is, by the names and shapes in it."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import torch

from ...errors import CheckpointError, plain
from ..hv import PRESETS
from ..io.files import jsonable
from ..networks.hovernet import KERNEL
from ..networks.optimus import TOKEN_PREFIX
from ..params import FAMILIES, FAMILY_ENDINGS
from ..types import CONSEP, PANNUKE, ModelInfo, TypeInfo, assumed, numbered
from .header import WANTED

Weights = dict[str, torch.Tensor]

WRAPPERS = ("desc", "model_state_dict", "state_dict", "model", "net", "network", "ema", "weights")
"""Entries of a checkpoint dict that may hold the weights, or a dict that does."""
WRAPPED = 4
"""Dicts within dicts that are looked into."""
KNOWN = re.compile(
    r"(?P<prefix>(?:\w+\.)*?)(decoder\.np\.|np_head\.|heads\.np\.|outputs\.np\.|nucleus_prediction\.)"
)
"""A name that tells a network, and what DataParallel, Lightning and other wrappers set before."""
MONAI = "MONAI"
_MONAI_NAMES: tuple[tuple[str, Any], ...] = (
    (r"^conv0\.conv\.", "conv0./."),
    (r"^res_blocks\.(d\d)\.layers\.denselayer_(\d+)\.layers\.", r"\1.units.\2."),
    (r"^res_blocks\.(d\d)\.bna_block\.", r"\1.blk_bna."),
    (r"^res_blocks\.(d\d)\.", r"\1."),
    (r"^bottleneck\.conv_bottleneck\.", "conv_bot."),
    (r"^nucleus_prediction\.", "decoder.np."),
    (r"^horizontal_vertical\.", "decoder.hv."),
    (r"^type_prediction\.", "decoder.tp."),
    (r"\.decoder_blocks\.decoderblock1\.", ".u3."),
    (r"\.decoder_blocks\.decoderblock2\.", ".u2."),
    (r"\.denselayerdecoder(\d+)\.layers\.", lambda m: f".dense.units.{int(m[1]) - 1}."),
    (r"\.conv1/norm\.", ".conv1/bn."),
    (r"(\.u[23])\.bna_block\.", r"\1.dense.blk_bna."),
    (r"\.output_features\.decoderblock3\.", ".u1."),
    (r"\.output_features\.decoderblock4\.", ".u0."),
)
"""Names of MONAI's HoVerNet, and what they are called here, one after another."""
PLUS_MPP = 0.5
"""Micrometres per pixel that HoVerNet+ was published at."""
HOVERNET_MPP = 0.25
"""Micrometres per pixel that every published HoVer-Net was trained at."""
PANNUKE_LICENCE = "CC BY-NC-SA 4.0"
SHOWN = 10
"""Names that a message shows."""

_OWN_PROGRAM = "run it with its own program"
_OPTIMUS_REMEDY = (
    "only the first form of the Optimus decoder (bilinear up-blocks, tokens alone) can be run: "
    "load this one with the code that trained it"
)
_RELATIVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "CellViT": (
        ("nuclei_binary_map_decoder.", "hv_map_decoder.", "nuclei_type_maps_decoder."),
        f"its encoder is a vision transformer that is not built in; {_OWN_PROGRAM}",
    ),
    "HoVer-NeXt": (
        ("encoder.model.", "decoders.", "heads.0.", "heads.1."),
        f"it predicts no HV maps, so nothing here can show or separate them; {_OWN_PROGRAM}",
    ),
    "an Optimus decoder with PixelShuffle up-blocks": (
        tuple(f"up{n}.conv{i}." for n in range(1, 5) for i in (1, 2)),
        _OPTIMUS_REMEDY,
    ),
    "an Optimus decoder with a haematoxylin pyramid": (("h_pyramid.",), _OPTIMUS_REMEDY),
    "an Optimus decoder with haematoxylin gates": (("h_alphas",), _OPTIMUS_REMEDY),
    "an Optimus decoder with stain separation": (("ruifrok.",), _OPTIMUS_REMEDY),
    "an Optimus decoder with squeeze-excitation": (("se_block.",), _OPTIMUS_REMEDY),
}
"""Relatives that cannot be run: beginnings of their weights' names, why not, what to do."""


@dataclass(frozen=True, eq=False)
class Found:
    """Weights and whose they are."""

    info: ModelInfo  # Architecture, config, types ...; parameters, source and hash not yet
    state: Weights = field(repr=False)  # Named as the network names them


def recognise(payload: Any, name: str) -> Found:
    """Tell whose network a file holds."""
    if not isinstance(payload, Mapping):
        raise CheckpointError(
            f"{name} holds a {type(payload).__name__} instead of named weights; {WANTED}."
        )
    wrapper, state = _weights_in(payload, name)
    state = _without_prefix(state)
    extras = {str(k): v for k, v in payload.items() if k != wrapper} if wrapper else {}
    refuse_foreign(name, state, extras)
    if any(key.startswith("decoder.np.") for key in state):
        kinds = {"desc": "hover_net", "": "tiatoolbox"}
        kind = kinds.get(wrapper, f"HoVer-Net under {wrapper!r}")
        return Found(hovernet_info(state, kind, name), state)
    if any(key.startswith("nucleus_prediction.") for key in state):
        for pattern, called in _MONAI_NAMES:
            state = {re.sub(pattern, called, key): value for key, value in state.items()}
        return Found(hovernet_info(state, MONAI, name), state)
    if any(key.startswith("np_head.") for key in state):
        return Found(optimus_info(state, extras, name), state)
    for architecture, (_, _, start) in _BARE.items():
        if any(key.startswith(start) for key in state):
            return Found(bare_info(architecture, state, name), state)
    tops = _shown(dict.fromkeys(key.split(".")[0] for key in state))
    raise CheckpointError(
        f"{name} holds {len(state)} weights of a network that is not known here (its parts: "
        f"{tops}); {WANTED}."
    )


def refuse_foreign(name: str, keys: Iterable[str], extras: Mapping[str, Any]) -> None:
    """Refuse a known relative by its name."""
    cellvit = str(extras.get("arch")).startswith("CellViT")
    keys = [*keys, *(["hv_map_decoder."] if cellvit else [])]
    for relative, (beginnings, reason) in _RELATIVES.items():
        if any(key.startswith(beginnings) for key in keys):
            raise CheckpointError(
                f"{name} is {relative}, which is recognised but not supported: {reason}."
            )


def _without_prefix(state: Weights) -> Weights:
    """Take off what wrappers set before every name; weights of other parts (a loss) stay out."""
    found = {m["prefix"] for m in map(KNOWN.match, state) if m}
    prefix = min(found, key=len, default=None)
    if prefix is None:  # a relative: its prefixes are not known
        first = {key.partition(".")[0] for key in state}
        more = first in ({"module"}, {"model"})
        inner = {k.partition(".")[2]: v for k, v in state.items()}
        return _without_prefix(inner) if more else state
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _weights_in(payload: Mapping[Any, Any], name: str) -> tuple[str, Weights]:
    """Find the entry that holds the weights, "" where they stand alone."""
    wrapper = next((w for w in WRAPPERS if isinstance(payload.get(w), Mapping)), "")
    state = payload[wrapper] if wrapper else payload
    for _ in range(WRAPPED):
        inner = next((w for w in WRAPPERS if isinstance(state.get(w), Mapping)), "")
        state = state[inner] if inner else state
    wrong = [
        k for k, v in state.items()
        if not isinstance(v, torch.Tensor) or v.is_nested or v.layout != torch.strided
    ]  # fmt: skip
    if not wrapper and (wrong or not state):
        raise CheckpointError(
            f"{name} holds no weights under any of {', '.join(WRAPPERS)}; its entries are: "
            f"{_shown(payload) or 'none'}. {WANTED[0].upper()}{WANTED[1:]}."
        )
    if wrong or not state:
        what = f"{len(wrong)} entries that are none ({_shown(wrong)})" if wrong else "none"
        raise CheckpointError(f"{name} should hold weights by name but has {what}; {WANTED}.")
    return wrapper, {str(k): v for k, v in state.items()}


def _shown(names: Iterable[Any]) -> str:
    texts = [str(name) for name in names]
    return plain(", ".join(texts[:SHOWN])) + (" ..." if len(texts) > SHOWN else "")


# --- what their shapes tell -----------------------------------------------------------


def shape(state: Mapping[str, torch.Tensor], key: str, name: str) -> tuple[int, ...]:
    """Look up the shape of a weight that tells how the network was built."""
    if key not in state:
        raise CheckpointError(
            f"{name} lacks {key}, which tells how its network was built; the file is incomplete: "
            "fetch or export it again."
        )
    found = tuple(state[key].shape)
    if len(found) != 4:
        raise CheckpointError(f"{name} has {key} of shape {found}; it should have 4 axes.")
    return found


def hovernet_info(state: Mapping[str, torch.Tensor], kind: str, name: str) -> ModelInfo:
    """Read mode and number of types of a HoVer-Net; the rest is assumed and noted."""
    edge = shape(state, "decoder.np.u3.conva.weight", name)[-1]
    mode = next((mode for mode, kernel in KERNEL.items() if kernel == edge), None)
    if mode is None:
        raise CheckpointError(
            f"{name} is a HoVer-Net with decoder kernels of {edge}; known are 3 (fast) and 5 "
            "(original)."
        )
    typed = any(key.startswith("decoder.tp.") for key in state)
    n_types = shape(state, "decoder.tp.u0.conv.weight", name)[0] if typed else None
    types, note = assumed(n_types, mode)
    monai = kind == MONAI
    if monai and n_types == len(CONSEP):
        types, note = dict(CONSEP), f"type names are not in the file: {n_types}, CoNSeP's as in " \
            "MONAI's model zoo"  # fmt: skip
    layers = "decoder.ls.u0.conv.weight"
    n_layers = shape(state, layers, name)[0] if layers in state else None
    mpp = HOVERNET_MPP if n_layers is None else PLUS_MPP
    config = {"mode": mode, "n_types": n_types}
    config |= {} if n_layers is None else {"n_layers": n_layers}
    licence = PANNUKE_LICENCE if n_types == len(PANNUKE) else ""
    about = f"PanNuke's {licence} assumed (not for commercial use)"
    notes = (
        *([note] if note else []),
        f"mpp is not in the file: {mpp} assumed, as in all published weights",
        f"the licence is not in the file: {about if licence else 'see where it was published'}",
        *(["decoders are taken to be without padding, as in MONAI's model zoo"] if monai else []),
        *([f"HoVerNet+: its network also gives {n_layers} tissue layers (output 'ls')"]
          if n_layers else []),
    )  # fmt: skip
    return ModelInfo("hovernet-monai" if monai else "hovernet", mode=mode, types=types, mpp=mpp,
        licence=licence, file_kind=kind, config=config, notes=notes)  # fmt: skip


def optimus_info(
    state: Mapping[str, torch.Tensor], extras: Mapping[str, Any], name: str
) -> ModelInfo:
    """Read the sizes of an Optimus decoder, and what its dict says of the training."""
    bottleneck, embed_dim, *_ = shape(state, "bottleneck.0.weight", name)
    notes = ["decodes the tokens of a vision transformer (H-optimus-0), not images"]
    n_types, background = None, extras.get("types_background") is not False
    if any(key.startswith("nt_head.") for key in state):
        n_types = shape(state, "nt_head.head.3.weight", name)[0] + (not background)
        zero = "0 taken as background (types_background=False if 0 is a type)"
        said_so = "types_background" in extras
        notes += [] if said_so else [f"what the {n_types} types are is not in the file: {zero}"]
    prefix = extras.get("token_prefix")
    if not isinstance(prefix, int) or isinstance(prefix, bool) or not 0 <= prefix <= 4096:
        prefix = TOKEN_PREFIX
        notes.append(
            f"the token prefix is not in the file: {prefix} assumed; the first files of this "
            "family were trained with 1"
        )
    convention = extras.get("hv_convention")
    if convention not in PRESETS:
        convention = "default"
        notes.append("the HV convention is not in the file: [H, V] outward assumed")
    said = extras.get(NOTES)
    said = said if isinstance(said, list | tuple) else ()
    training, history = _training_in(extras)
    return ModelInfo(
        "optimus",
        types=family_types(n_types, background),
        hv_convention=str(convention),
        file_kind="optimus",
        config={"embed_dim": embed_dim, "bottleneck": bottleneck, "n_types": n_types,
                "token_prefix": prefix, **({} if background else {"types_background": False})},
        training=training,
        history=history,
        notes=(*notes, *(note for note in said if isinstance(note, str) and ASSUMED in note)),
    )  # fmt: skip


def family_types(n_types: int | None, background: bool) -> dict[int, TypeInfo]:
    """Name the types of a decoder; those without background are PanNuke's where they are five."""
    if n_types is None:
        return {}
    return dict(PANNUKE) if not background and n_types == len(PANNUKE) else numbered(n_types)


def with_background(info: ModelInfo, background: bool, name: str) -> ModelInfo:
    """Say of a token decoder whether class 0 of its types is background."""
    count = info.config.get("n_types")
    if info.architecture != "optimus" or not count:
        raise CheckpointError(f"{name} is no token decoder with types; leave types_background out.")
    was = bool(info.config.get("types_background", True))
    n_types = int(count) + was - background
    config = {k: v for k, v in info.config.items() if k != "types_background"}
    config |= {"n_types": n_types} | ({} if background else {"types_background": False})
    notes = tuple(note for note in info.notes if "0 taken as background" not in note)
    types = info.types if was == background else family_types(n_types, background)
    return replace(info, config=config, types=types, notes=notes)


_BARE = {
    "compact": ("down.{}.conv1.weight", "heads.tp.3.weight", "heads.np."),
    "lite": ("ups.{}.thin.conv.weight", "outputs.tp.1.weight", "outputs.np."),
}
"""First weights of the blocks, of the type head, and what names begin with that tell a network."""


def bare_info(architecture: str, state: Mapping[str, torch.Tensor], name: str) -> ModelInfo:
    """Read the widths and number of types of a network that says nothing else of itself."""
    block, head, _ = _BARE[architecture]
    widths: list[int] = []
    while block.format(len(widths)) in state:
        widths.append(shape(state, block.format(len(widths)), name)[0])
    if architecture == "lite":
        widths.reverse()  # its decoder's deepest block comes first
    n_types = shape(state, head, name)[0] if head in state else None
    note = "bare weights: mpp, type names, licence and training are not in the file; export to " \
        ".safetensors keeps them"  # fmt: skip
    return ModelInfo(architecture, types={} if n_types is None else numbered(n_types),
        file_kind="bare weights", config={"widths": widths, "n_types": n_types},
        notes=(note,))  # fmt: skip


# --- the family's dict ----------------------------------------------------------------

NOTES, ASSUMED = "notes", "assumed"
"""Entry that keeps what was assumed about a file, so that no assumption becomes a fact."""
BEST = ("best_dice", "best_loss", "best_hv_mse", "best_nt_acc", "combined_score")
"""Scores of the family's dict, in its order."""
DERIVED = ("epoch", *BEST, "family", "organs", "n_classes", "token_prefix", "types_background",
           NOTES)  # fmt: skip
"""Entries that follow from the training arguments and the history."""
NOT_TRAINING = ("optimizer_state_dict", "scheduler_state_dict", "history", "hv_convention", NOTES)
OWN_ARGS = ("schema", "data", "optim", "seed")
"""Entries that training arguments of our own have."""


def is_own(training: Any) -> bool:
    """Whether training facts are the arguments of a training of our own."""
    return isinstance(training, Mapping) and all(name in training for name in OWN_ARGS)


def _training_in(extras: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """Split what stands beside the weights into training facts and per-epoch history."""
    facts = {k: v for k, v in extras.items() if k not in NOT_TRAINING}
    facts = {k: vars(v) if isinstance(v, argparse.Namespace) else v for k, v in facts.items()}
    own = facts.get("args")
    training: dict[str, Any] = jsonable(own if is_own(own) else facts)
    if not is_own(own):
        training = {k: v for k, v in training.items() if v is not None}  # NaN: never measured
    history = jsonable(extras.get("history"))
    if isinstance(history, list) and all(isinstance(step, dict) for step in history):
        return training, tuple(history)
    return training | ({"history": history} if history else {}), ()


def family_payload(
    info: ModelInfo, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """Return what an Optimus ``.pth`` holds; ``torch.load(weights_only=True)`` reads it."""
    training, own = info.training, is_own(info.training)
    earlier: Mapping[str, Any] = {} if own else training  # what a dict not ours said of itself
    arguments = training if own else earlier.get("args")
    if not isinstance(arguments, Mapping):
        arguments = {k: v for k, v in training.items() if k not in DERIVED}
    last = info.history[-1].get("epoch") if info.history else None
    epoch = last - 1 if own and isinstance(last, int) else earlier.get("epoch", last)
    family = str(earlier.get("family") or family_of(training))
    background = bool(config.get("types_background", True))
    return {
        "epoch": epoch if isinstance(epoch, int) else len(info.history) - 1,
        "model_state_dict": dict(state),
        "optimizer_state_dict": {},
        **_scores(info, earlier),
        "family": family,
        "organs": list(earlier.get("organs") or FAMILIES.get(family.lower(), ())),
        "args": jsonable(arguments),
        "hv_convention": info.hv_convention,
        "n_classes": config["n_types"] if background else config["n_types"] - 1,
        "token_prefix": config["token_prefix"],
        **({} if background else {"types_background": False}),
        "history": jsonable(info.history),
        NOTES: [note for note in info.notes if ASSUMED in note],
    }


def family_of(training: Mapping[str, Any]) -> str:
    """Tell the family from training arguments: as named, or by the name of the one data file."""
    data = training.get("data")
    if not isinstance(data, Mapping):
        return ""
    names = set()
    for source in data.get("sources") or ():
        stem = PurePath(str(source)).stem
        ending = next((e for e in FAMILY_ENDINGS.values() if stem.lower().endswith(e)), "")
        names.add(stem[: -len(ending)] if ending else "")
    return str(data.get("family") or (names.pop() if len(names) == 1 else ""))


def _scores(info: ModelInfo, earlier: Mapping[str, Any]) -> dict[str, float]:
    """Scores of the best epoch: by AJI + PQ, or by the loss where there are no instances."""
    found = {name: _number(earlier.get(name)) for name in BEST}
    best, values = -math.inf, dict[str, Any]()
    for val in (entry.get("val") for entry in info.history):
        if isinstance(val, Mapping) and val:
            score = _number(val.get("aji")) + _number(val.get("pq"))
            score = score if "aji" in val else -_number(val.get("loss"))
            score = -math.inf if math.isnan(score) else score
            if not values or score > best:
                best, values = score, dict(val)
    if values:
        measured = {"best_dice": "dice", "best_loss": "loss", "best_hv_mse": "hv_mse"}
        found |= {name: _number(values.get(key)) for name, key in measured.items()}
        found["combined_score"] = best
    return found


def _number(value: Any) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain else math.nan
