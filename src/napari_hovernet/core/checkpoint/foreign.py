"""Networks that are recognised but cannot be run here, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...errors import CheckpointError


class _Foreign(NamedTuple):
    """A relative: its name, beginnings of its weights' names, why not, and what to do."""

    name: str
    beginnings: tuple[str, ...]
    reason: str


_OWN_PROGRAM = "run it with its own program"

_RELATIVES = (
    _Foreign(
        "HoVerNet+",
        ("decoder.ls.",),
        "it also segments tissue layers, at 0.5 mpp; run it with TIAToolbox, or take a HoVer-Net",
    ),
    _Foreign(
        "CellViT",
        ("nuclei_binary_map_decoder.", "hv_map_decoder.", "nuclei_type_maps_decoder."),
        f"its encoder is a vision transformer that is not built in; {_OWN_PROGRAM}",
    ),
    _Foreign(
        "HoVer-NeXt",
        ("encoder.model.", "decoders.", "heads.0.", "heads.1."),
        f"it predicts no HV maps, so nothing here can show or separate them; {_OWN_PROGRAM}",
    ),
)

_OPTIMUS_REMEDY = (
    "only the first form of the Optimus decoder (bilinear up-blocks, tokens alone) can be run: "
    "load this one with the code that trained it"
)
_OPTIMUS_VARIANTS = (
    _Foreign(
        "an Optimus decoder with PixelShuffle up-blocks",
        tuple(f"up{n}.conv{i}." for n in range(1, 5) for i in (1, 2)),
        _OPTIMUS_REMEDY,
    ),
    _Foreign("an Optimus decoder with a haematoxylin pyramid", ("h_pyramid.",), _OPTIMUS_REMEDY),
    _Foreign("an Optimus decoder with haematoxylin gates", ("h_alphas",), _OPTIMUS_REMEDY),
    _Foreign("an Optimus decoder with stain separation", ("ruifrok.",), _OPTIMUS_REMEDY),
    _Foreign("an Optimus decoder with squeeze-excitation", ("se_block.",), _OPTIMUS_REMEDY),
)


def refuse_foreign(name: str, keys: Iterable[str], extras: Mapping[str, Any]) -> None:
    """Refuse a known relative by its name.

    Parameters
    ----------
    name : str
        The file's name, for the message.
    keys : iterable of str
        Names of the weights.
    extras : mapping
        What else the checkpoint holds beside them.

    Raises
    ------
    CheckpointError
        If it is one of HoVerNet+, CellViT, HoVer-NeXt or a later Optimus variant.
    """
    keys = list(keys)
    if isinstance(extras.get("arch"), str) and str(extras["arch"]).startswith("CellViT"):
        keys.append("hv_map_decoder.")
    for relative in (*_RELATIVES, *_OPTIMUS_VARIANTS):
        if any(key.startswith(relative.beginnings) for key in keys):
            raise CheckpointError(
                f"{name} is {relative.name}, which is recognised but not supported: "
                f"{relative.reason}."
            )
