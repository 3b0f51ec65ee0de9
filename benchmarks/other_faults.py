"""Faults that nobody listed when the checks were written; planted by planted_faults.py too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from fault_library import (
    Fault,
    Given,
    after_hv,
    changed,
    every,
    put,
    tampered,
    weights,
)
from scipy import ndimage

import napari_hovernet as nh
from napari_hovernet.core.losses import HoverLoss


def turned_labels(given: Given) -> Given:
    """Take square parts, and turn their labels by 90 degrees."""
    images = [a[:256, :256] for a in given["images"]]
    labels = [np.rot90(a[:256, :256]).copy() for a in given["labels"]]
    return {**given, "images": images, "labels": labels}


def wrapped_ids(labels: np.ndarray) -> np.ndarray:
    """Store ids in so few bits that they wrap round."""
    return (labels % 4).astype(np.uint8)


def smooth_labels(labels: np.ndarray) -> np.ndarray:
    """Resize labels as if they were an image, and back."""
    small = cv2.resize(labels.astype(np.float32), None, fx=0.5, fy=0.5)
    return np.rint(cv2.resize(small, labels.shape[::-1])).astype(np.int32)


def swollen(labels: np.ndarray) -> np.ndarray:
    """Grow every nucleus by some pixels, over the background."""
    distance, (r, c) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.where(distance <= 5, labels[r, c], 0).astype(np.int32)


def in_pixels(labels: np.ndarray) -> np.ndarray:
    """Give HV in pixels instead of shares of the nucleus."""
    hv = np.zeros((2, *labels.shape), np.float32)
    for i, (y, x) in enumerate(
        ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1)), start=1
    ):
        r, c = np.nonzero(labels == i)
        hv[0, r, c], hv[1, r, c] = c - x, r - y
    return hv


def positive_only(hv: np.ndarray) -> np.ndarray:
    """Lose what is negative, as unsigned bytes do."""
    return np.clip(hv, 0, None)


def same_channel(hv: np.ndarray) -> np.ndarray:
    """Give the first channel twice."""
    return np.stack((hv[0], hv[0]))


def train_mode(given: Given) -> Given:
    """Let batch norm use the statistics of each tile."""
    network = weights(_stats_off)(given)["model"].network
    return {**given, "model": replace(given["model"], network=network)}


def _stats_off(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None


def half_dead(network: Any) -> None:
    """Zero half of the channels of a block."""
    for module in network.down[1].modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight[::2] = 0
            module.bias[::2] = 0


def seams(given: Given) -> Given:
    """Predict in small tiles without halo."""
    inner = given["model"]

    def network(image: np.ndarray) -> Any:
        prob, hv = np.zeros(image.shape[:2], np.float32), np.zeros((2, *image.shape[:2]), "f4")
        for r in range(0, image.shape[0], 32):
            for c in range(0, image.shape[1], 32):
                maps = nh.predict(inner, image[r : r + 32, c : c + 32])
                prob[r : r + 32, c : c + 32], hv[:, r : r + 32, c : c + 32] = maps.np, maps.hv
        return prob, hv

    return {**given, "model": network}


def shifted_cut(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Cut well, and return the labels some pixels off."""
    return np.roll(nh.separate(nh.Maps(np=np_map, hv=hv)).labels, (6, 6), (0, 1))


def transposed_cut(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Cut with rows and columns of HV taken for each other."""
    return nh.separate(nh.Maps(np=np_map, hv=hv[::-1].copy())).labels


def drops_half(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Cut well, and lose every other nucleus."""
    labels = nh.separate(nh.Maps(np=np_map, hv=hv)).labels
    return np.where(labels % 2 == 0, labels, 0)


def random_cut(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Cut differently each time."""
    noise = np.random.default_rng().normal(0, 0.8, hv.shape).astype("f4")
    return nh.separate(nh.Maps(np=np_map, hv=hv + noise)).labels


def floods_everything(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Forget the mask in the watershed."""
    labels = nh.separate(nh.Maps(np=np_map, hv=hv)).labels
    if not labels.any():
        return labels
    r, c = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return labels[r, c]


def fails(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Fail."""
    raise IndexError("index 3 is out of bounds")


def background_mask(pred: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compare HV where there are no nuclei."""
    outside = 1 - mask.float()
    return ((pred - true).square() * outside[:, None]).sum() / outside.sum()


def wrong_sign(pred: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Reward what should be punished."""
    return -((pred - true).square() * mask.float()[:, None]).mean()


def swapped_truth(pred: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compare with the other channel."""
    inside = mask.float()[:, None]
    return ((pred - true.flip(1)).square() * inside).sum() / inside.sum()


def turns_without_vectors(image: np.ndarray, labels: np.ndarray, hv: np.ndarray) -> Any:
    """Turn by 90 degrees; vectors stay."""
    return np.rot90(image).copy(), np.rot90(labels).copy(), np.rot90(hv, axes=(1, 2)).copy()


def smooth_warp(image: np.ndarray, labels: np.ndarray, hv: np.ndarray) -> Any:
    """Turn by 20 degrees, labels interpolated like an image."""
    size = labels.shape[::-1]
    matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), 20, 1)
    turned = cv2.warpAffine(labels.astype(np.float32), matrix, size)
    planes = np.stack([cv2.warpAffine(p, matrix, size) for p in hv])
    return cv2.warpAffine(image, matrix, size), np.rint(turned).astype(int), planes


def to_unit_range(image: np.ndarray, labels: np.ndarray, hv: np.ndarray) -> Any:
    """Turn pixels into 0..1 and then into whole numbers again."""
    return (image / 255).astype(np.uint8), labels, hv


def darker(images: np.ndarray) -> np.ndarray:
    """Underexpose."""
    return (images * 0.25).astype(np.uint8)


def out_of_focus(image: np.ndarray) -> np.ndarray:
    """Blur."""
    return cv2.GaussianBlur(image, (0, 0), 5)


def inverted(image: np.ndarray) -> np.ndarray:
    """Bright nuclei on a dark ground."""
    return 255 - image


def one_channel(image: np.ndarray) -> np.ndarray:
    """Lose two channels."""
    out = image.copy()
    out[..., 1:] = 0
    return out


OTHERS = (
    Fault("labels turned by 90 degrees", "model", turned_labels, ("data.flip",)),
    Fault("labels upside down", "model", every("labels", lambda a: a[::-1].copy()),
          ("data.flip",)),
    Fault("ids wrapped round", "model", every("labels", wrapped_ids),
          ("data.masks", "data.components", "data.fragments")),
    Fault("labels resized smoothly", "model", every("labels", smooth_labels),
          ("data.fragments", "data.masks")),
    Fault("labels swollen", "model", every("labels", swollen),
          ("data.background", "data.coverage", "model.np_activation", "data.fragments")),
    Fault("hv in pixels", "targets", lambda g: {**g, "hv": [in_pixels(a) for a in g["labels"]]},
          ("data.hv_range", "data.hv_scale", "data.hv_divisor")),
    Fault("hv positive only", "targets", every("hv", positive_only),
          ("data.hv_range", "data.hv_scale", "data.hv_origin", "data.hv_labels")),
    Fault("hv one channel twice", "targets", every("hv", same_channel),
          ("data.hv_order", "data.hv_labels", "data.hv_scale", "data.hv_range")),
    Fault("hv all zero", "targets", every("hv", lambda a: 0 * a),
          ("data.hv_range", "data.hv_labels", "data.hv_scale")),
    Fault("hv mirrored in place", "targets", every("hv", lambda a: a[:, :, ::-1].copy()),
          ("data.hv_labels",)),
    Fault("hv vertical negated in targets", "targets",
          every("hv", lambda a: a * np.array([1, -1], "f4")[:, None, None]),
          ("data.hv_sign", "data.hv_order")),
    Fault("hv nan", "targets", every("hv", lambda a: np.where(a == a.max(), np.nan, a)),
          ("data.hv_range", "data.files")),
    Fault("np of another image", "targets",
          lambda g: {**g, "np": [np.roll(a, (40, 60), (0, 1)) for a in g["np"]]},
          ("data.np",)),
    Fault("batch norm without statistics", "model", train_mode, ("model.batch_norm",)),
    Fault("half of a block dead", "model", weights(half_dead),
          ("model.activations", "model.batch_norm")),
    Fault("seams", "model", seams, ("model.seams", "model.tiles")),
    Fault("hv of one channel", "model",
          after_hv(lambda hv: torch.cat((hv[:, :1], 0 * hv[:, 1:]), 1)),
          ("model.hv_collapsed", "model.hv_order", "model.hv_direction", "model.hv_scale",
           "model.hv_sign")),
    Fault("hv twice as long", "model", after_hv(lambda hv: 4 * hv), ("model.hv_scale",)),
    Fault("hv smeared", "model",
          after_hv(lambda hv: torch.nn.functional.avg_pool2d(hv, 25, 1, 12)),
          ("model.hv_noise", "model.hv_direction", "model.hv_collapsed", "model.hv_zero")),
    Fault("np always nucleus", "model",
          tampered(after=lambda o: {**o, "np": torch.stack(
              (o["np"][:, 0] - 30, o["np"][:, 1] + 30), 1)}),
          ("model.np_empty", "model.np_activation")),
    Fault("np never nucleus", "model",
          tampered(after=lambda o: {**o, "np": torch.stack(
              (o["np"][:, 0] + 30, o["np"][:, 1] - 30), 1)}),
          ("model.np_empty", "model.np_activation")),
    Fault("maps moved 8 px", "model",
          tampered(after=lambda o: {k: v.roll(8, -2) for k, v in o.items()}), ("model.shift",)),
    Fault("maps upside down", "model",
          tampered(after=lambda o: {k: v.flip(-2) for k, v in o.items()}),
          ("model.orientation",)),
    Fault("maps: logits", "maps", every("np", lambda a: np.log(
        np.clip(a, 1e-5, 1 - 1e-5) / np.clip(1 - a, 1e-5, 1))), ("model.np_activation",)),
    Fault("maps: bytes", "maps", every("np", lambda a: (255 * a).astype(np.uint8)),
          ("model.np_activation",)),
    Fault("maps: nan", "maps", every("hv", lambda a: np.where(a > 1, np.nan, a)),
          ("model.non_finite", "model.failures", "data.files", "model.hv_scale")),
    Fault("images dark", "model", every("images", darker),
          ("model.normalisation", "data.images", "model.batch_norm")),
    Fault("images out of focus", "model", every("images", out_of_focus),
          ("model.mpp", "model.normalisation", "data.images")),
    Fault("images inverted", "model", every("images", inverted),
          ("data.images", "data.channel_order", "model.normalisation", "data.background",
           "model.input_range", "model.channel_order")),
    Fault("images of one channel", "model", every("images", one_channel),
          ("data.images", "data.channel_order", "model.normalisation")),
    Fault("cut shifted", "model", put(separation=shifted_cut),
          ("separation.oracle", "separation.turns", "separation.shift")),
    Fault("cut with swapped hv", "model", put(separation=transposed_cut), ("separation.turns",)),
    Fault("cut drops half", "model", put(separation=drops_half),
          ("separation.under", "separation.oracle", "separation.threshold")),
    Fault("cut is random", "model", put(separation=random_cut), ("separation.deterministic",)),
    Fault("cut floods everything", "model", put(separation=floods_everything),
          ("separation.oracle", "separation.threshold", "separation.mask")),
    Fault("cut fails", "model", put(separation=fails),
          ("separation.deterministic",)),
    Fault("sobel too small", "model",
          put(separation=replace(nh.SeparationParams.preset("hover_net"), sobel_size=3)),
          ("separation.over", "separation.under", "separation.tile")),
    Fault("energy threshold", "model",
          put(separation=replace(nh.SeparationParams.preset("hover_net"), energy_threshold=0.95)),
          ("separation.under",)),
    Fault("threshold low", "model", changed(np_threshold=0.01, min_mean_np=0.0),
          ("separation.threshold",)),
    Fault("loss on the background", "nothing", put(loss=background_mask),
          ("loss.mask", "loss.minimum")),
    Fault("loss of the wrong sign", "nothing", put(loss=wrong_sign), ("loss.minimum",)),
    Fault("loss of the other channel", "nothing", put(loss=swapped_truth),
          ("loss.minimum", "loss.direction")),
    Fault("no hv loss", "model", put(loss=HoverLoss(lambda_hv=0.0)),
          ("loss.share", "loss.direction", "loss.gradient_share", "loss.minimum")),
    Fault("turns without vectors", "targets", put(augmentation=turns_without_vectors),
          ("augmentation.hv",)),
    Fault("labels interpolated", "targets", put(augmentation=smooth_warp),
          ("augmentation.labels", "augmentation.hv")),
    Fault("pixels to 0 and 1", "targets", put(augmentation=to_unit_range),
          ("augmentation.image",)),
)  # fmt: skip
