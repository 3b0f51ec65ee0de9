"""The network under diagnosis: a model on images, one on tokens, or anybody's function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch

from ...errors import InputError, JobFailed, UserError
from ..hv import HVConvention, convert
from ..inference import predict
from ..inference.images import UInt8
from ..networks.registry import Network
from ..params import InferenceParams
from ..types import Maps, Model

IMAGE, TOKENS = "image", "features"
"""What a predictor reads of an item."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """Gives maps of an image (or of its tokens).

    Parameters
    ----------
    name : str
    reads : {"image", "features"}
    call : callable
        uint8 (H, W, 3) -> Maps; of tokens (N, D) and a token prefix (None = as the model
        says) -> Maps.
    model : Model, optional
        None for a function of the user's own.

    Examples
    --------
    >>> blank = lambda image: (np.zeros(image.shape[:2]), np.zeros((2, *image.shape[:2])))
    >>> Predictor.of(blank).maps(np.zeros((4, 4, 3), np.uint8)).shape
    (4, 4)
    """

    name: str
    reads: str
    call: Callable[..., Maps]
    model: Model | None = None

    @classmethod
    def of(cls, model: Any, inference: InferenceParams | None = None) -> Predictor:
        """Make one of what a user gives.

        Parameters
        ----------
        model : Model, Network or callable
            A function takes a uint8 (H, W, 3) image and returns Maps, or (np, hv).

        Raises
        ------
        InputError
            If it is none of them.
        """
        if isinstance(model, Network):
            from ..types import ModelInfo  # noqa: PLC0415 - only here

            model = Model(model.eval(), ModelInfo(type(model).__name__), torch.device("cpu"))
        if isinstance(model, Model):
            if model.network.accepts == "tokens":
                return cls(model.info.architecture, TOKENS, _token_call(model), model)
            used = inference or InferenceParams()
            return cls(
                model.info.architecture, IMAGE, lambda image: predict(model, image, used), model
            )
        if callable(model):
            return cls(getattr(model, "__name__", "own network"), IMAGE, _own(model))
        raise InputError(
            f"model is a {type(model).__name__}; give a Model, a file, or a function that takes "
            "an image and returns Maps."
        )

    def maps(self, given: Any, token_prefix: int | None = None) -> Maps:
        """Predict.

        Raises
        ------
        UserError
            If the network fails; JobFailed for anything unforeseen.
        """
        try:
            if self.reads == TOKENS:
                return self.call(given, token_prefix)
            return self.call(given)
        except UserError:
            raise
        except Exception as error:
            raise JobFailed(f"The network failed ({type(error).__name__}: {error}).") from error


def resized_maps(maps: Maps, shape: tuple[int, int]) -> Maps:
    """Bring maps to another size; HV takes the nearest value, so that its jumps stay sharp.

    Examples
    --------
    >>> small = Maps(np=np.ones((2, 3)), hv=np.zeros((2, 2, 3)))
    >>> resized_maps(small, (4, 6)).shape
    (4, 6)
    """
    if maps.shape == shape:
        return maps
    size = (shape[1], shape[0])
    prob = cv2.resize(maps.np, size, interpolation=cv2.INTER_LINEAR)
    planes = [cv2.resize(p, size, interpolation=cv2.INTER_NEAREST) for p in maps.hv]
    types = None
    if maps.types is not None:
        types = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in maps.types])
    return Maps(np=np.clip(prob, 0, 1), hv=np.stack(planes), types=types)


def _token_call(model: Model) -> Callable[..., Maps]:
    network: Any = model.network
    convention = HVConvention.preset(model.info.hv_convention)
    claimed = replace(HVConvention(), order=convention.order, sign=convention.sign)

    def call(features: Any, token_prefix: int | None = None) -> Maps:
        tokens = torch.from_numpy(np.asarray(features, np.float32)[None]).to(model.device)
        before = network.token_prefix
        try:
            if token_prefix is not None:
                network.token_prefix = token_prefix
            with torch.inference_mode():
                out = network(tokens)
        finally:
            network.token_prefix = before
        raw = {k: v.float().cpu() for k, v in out.items()}
        types = raw.get("tp")
        return Maps(
            np=raw["np"].softmax(1)[0, 1].numpy(),
            hv=convert(raw["hv"][0].numpy(), claimed, HVConvention()),
            types=None if types is None else types.softmax(1)[0].numpy(),
        )

    return call


def _own(function: Callable[[UInt8], Any]) -> Callable[[Any], Maps]:
    def call(image: Any) -> Maps:
        made = function(image)
        if isinstance(made, Maps):
            return made
        if isinstance(made, dict):
            return Maps(np=made["np"], hv=made["hv"], types=made.get("tp"))
        return Maps(*made)

    return call
