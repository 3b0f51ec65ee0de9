"""How everything under diagnosis is read; a remedy changes one field of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...errors import InputError
from ..hv import ORDERS, SIGNS
from .report import Remedy

CHANNEL_ORDERS = ("rgb", "bgr")
ACTIVATIONS = ("softmax", "sigmoid", "logits")


@dataclass(frozen=True)
class Setup:
    """How images, labels, maps and targets are to be read.

    Everything at its default is "as it claims to be". Applying a remedy sets a field; the
    checks then see what the program would see with the fault mended.

    Parameters
    ----------
    hv_order, hv_sign : str
        Of the HV that the model gives, or of the maps given.
    hv_scale : float
        That HV is multiplied by this.
    target_order, target_sign : str
        Of stored HV targets.
    target_divisor : float
        Stored HV targets are divided by this.
    np_channel : {0, 1}
        Which channel of NP is nucleus; 0 = what is given is the probability of background.
    np_activation : {"softmax", "sigmoid", "logits"}
        "softmax" = maps are taken as given. "logits" = maps given are logits: a sigmoid is
        applied. "sigmoid" = the maps were made from channel 1 alone; nothing can be undone.
    np_threshold : float, optional
        Overrides that of the separation.
    channel_order : {"rgb", "bgr"}
        Of the images as they are given to the model; "bgr" = they are turned round first.
    input_factor : float
        Image values are multiplied by this (255 for images of 0..1 in whole numbers).
    zoom : float
        Images are resized by this before they go into the model.
    token_prefix : int, optional
        Tokens before the first patch; None = as the model says.
    separation : mapping, optional
        Fields of ``SeparationParams`` to change, or {"preset": name}.
    labels_turn : (bool, int)
        Flip and quarter turns that bring labels onto their image.
    labels_shift : (int, int)
        Rows and columns by which labels are moved onto their image.
    maps_shift : (int, int)
        Rows and columns by which predicted maps are moved (wrapping round).
    type_offset : int
        Added to the types of nuclei.
    image_order : tuple of int, optional
        Which image belongs to the labels of each item.

    Raises
    ------
    InputError
        If a name is not known or a number is out of range.

    Examples
    --------
    >>> Setup().applied(Remedy("Read it as [V, H].", "hv_order", "vh")).hv_order
    'vh'
    """

    hv_order: str = "hv"
    hv_sign: str = "outward"
    hv_scale: float = 1.0
    target_order: str = "hv"
    target_sign: str = "outward"
    target_divisor: float = 1.0
    np_channel: int = 1
    np_activation: str = "softmax"
    np_threshold: float | None = None
    channel_order: str = "rgb"
    input_factor: float = 1.0
    zoom: float = 1.0
    token_prefix: int | None = None
    separation: Mapping[str, Any] | None = None
    labels_turn: tuple[bool, int] = (False, 0)
    labels_shift: tuple[int, int] = (0, 0)
    maps_shift: tuple[int, int] = (0, 0)
    type_offset: int = 0
    image_order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        allowed = {
            "hv_order": ORDERS,
            "hv_sign": SIGNS,
            "target_order": ORDERS,
            "target_sign": SIGNS,
            "np_channel": (0, 1),
            "np_activation": ACTIVATIONS,
            "channel_order": CHANNEL_ORDERS,
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                said = ", ".join(map(str, values))
                raise InputError(f"{name} is {getattr(self, name)!r}; choose one of {said}.")
        for name in ("hv_scale", "target_divisor", "input_factor", "zoom"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; give a number above 0.")
        for name in ("labels_turn", "labels_shift", "maps_shift"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.image_order is not None:
            object.__setattr__(self, "image_order", tuple(self.image_order))

    def applied(self, remedy: Remedy) -> Setup:
        """Return the setup with a remedy applied on top of what is there.

        Raises
        ------
        InputError
            If the remedy cannot be applied.
        """
        if not remedy.action:
            raise InputError(f"This remedy has to be done outside of the program: {remedy.text}")
        value = remedy.value
        if remedy.action == "separation":
            value = {**({} if "preset" in value else self.separation or {}), **value}
        if remedy.action in ("labels_shift", "maps_shift"):
            value = tuple(a + b for a, b in zip(getattr(self, remedy.action), value, strict=True))
        return replace(self, **{remedy.action: value})

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that are not at their default, JSON-able."""
        plain = asdict(Setup())
        return {k: v for k, v in asdict(self).items() if v != plain[k]}
