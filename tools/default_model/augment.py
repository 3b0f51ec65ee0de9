"""Augmentation: geometry on image and labels together, colour in optical density.

HV is never augmented: targets are made from the labels *after* the geometry, so a flip
cannot disagree with its HV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Stain vectors in optical density (Ruifrok & Johnston 2001): haematoxylin, eosin, DAB.
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)
EOSIN = np.array([0.07, 0.99, 0.11], np.float32)
DAB = np.array([0.27, 0.57, 0.78], np.float32)


@dataclass(frozen=True)
class AugmentParams:
    """Strengths; ``p_`` are probabilities, ranges are uniform unless said otherwise."""

    crop: int = 256
    scale: tuple[float, float] = (0.5, 2.0)
    p_wide_scale: float = 0.5
    narrow_scale: tuple[float, float] = (0.8, 1.25)
    p_free_rotation: float = 0.6
    p_stretch: float = 0.3
    stretch: float = 0.15
    p_stain_jitter: float = 0.55
    stain_gain: tuple[float, float] = (0.55, 1.5)
    stain_bias: float = 0.06
    p_restain: float = 0.22
    p_ihc: float = 0.13
    vector_spread: float = 0.10
    p_tone: float = 0.7
    p_grey: float = 0.03
    p_blur: float = 0.25
    blur_sigma: tuple[float, float] = (0.4, 1.8)
    p_sharpen: float = 0.1
    p_lowres: float = 0.12
    p_noise: float = 0.25
    noise_std: tuple[float, float] = (2.0, 12.0)
    p_jpeg: float = 0.2
    jpeg_quality: tuple[int, int] = (35, 90)
    ihc_leak: tuple[float, float] = (0.1, 0.6)


EARLY = AugmentParams()
LATE = AugmentParams(p_stain_jitter=0.48, p_restain=0.20, p_ihc=0.22, ihc_leak=(0.1, 0.8))
"""More immunohistochemistry, with more brown over the nuclei, for the later steps."""


def geometry(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, p: AugmentParams
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, turn, flip and crop; return image, labels and the mask of real pixels."""
    low, high = p.scale if rng.random() < p.p_wide_scale else p.narrow_scale
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    angle = rng.uniform(0, 360) if rng.random() < p.p_free_rotation else 90.0 * rng.integers(4)
    stretch = np.exp(rng.uniform(-p.stretch, p.stretch)) if rng.random() < p.p_stretch else 1.0
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    flip = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
    linear = np.array([[c, -s], [s, c]]) @ np.diag([scale * stretch, scale / stretch]) @ flip
    height, width = labels.shape
    half = p.crop / 2 / scale
    centre = np.array([_centre(width, half, rng), _centre(height, half, rng)])
    matrix = np.hstack([linear, (p.crop / 2 - 0.5 - linear @ centre)[:, None]])
    size = (p.crop, p.crop)
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    if scale < 0.75:  # warpAffine does not average: shrink by blur first
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale)
    warped = cv2.warpAffine(
        image, matrix, size, flags=min(smooth, cv2.INTER_CUBIC), borderMode=cv2.BORDER_REFLECT_101
    )
    lab = cv2.warpAffine(
        labels.astype(np.float32), matrix, size, flags=cv2.INTER_NEAREST, borderValue=0
    ).astype(np.int32)
    real = cv2.warpAffine(
        np.ones(labels.shape, np.uint8), matrix, size, flags=cv2.INTER_NEAREST, borderValue=0
    )
    return warped, lab, real


def _centre(extent: int, half: float, rng: np.random.Generator) -> float:
    low, high = half, extent - 1 - half
    return float(rng.uniform(low, high)) if high > low else (extent - 1) / 2


def colour(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, p: AugmentParams
) -> np.ndarray:
    """Change stain, tone, sharpness and noise of an RGB uint8 image."""
    draw = rng.random()
    rgb = image.astype(np.float32)
    if draw < p.p_stain_jitter:
        rgb = restain(rgb, rng, p, spread=0.0)
    elif draw < p.p_stain_jitter + p.p_restain:
        rgb = restain(rgb, rng, p, spread=p.vector_spread)
    elif draw < p.p_stain_jitter + p.p_restain + p.p_ihc:
        rgb = _as_ihc(rgb, labels, rng, p)
    if rng.random() < p.p_tone:
        rgb = tone(rgb, rng)
    if rng.random() < p.p_grey:
        rgb = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    return _optics(rgb, rng, p)


def _unmix(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    density = -np.log(np.clip(rgb, 1, 255) / 255.0)
    third = np.cross(HAEMATOXYLIN, EOSIN)
    basis = np.stack([_unit(v) for v in (HAEMATOXYLIN, EOSIN, third)])
    return density.reshape(-1, 3) @ np.linalg.inv(basis).astype(np.float32), basis


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _remix(conc: np.ndarray, basis: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    density = conc @ basis.astype(np.float32)
    return (255.0 * np.exp(-np.clip(density, 0, 6))).reshape(shape).astype(np.float32)


def restain(
    rgb: np.ndarray, rng: np.random.Generator, p: AugmentParams, spread: float
) -> np.ndarray:
    """Change stain strengths and, by ``spread``, the stain vectors; float RGB 0..255."""
    conc, basis = _unmix(rgb)
    gain = rng.uniform(*p.stain_gain, 3).astype(np.float32)
    gain[2] = rng.uniform(0.5, 1.5)
    bias = rng.uniform(-p.stain_bias, p.stain_bias, 3).astype(np.float32)
    conc = conc * gain + bias
    if spread:
        noise = rng.normal(0, spread, (3, 3)) * np.array([[1.0], [1.0], [0.3]])
        basis = np.stack([_unit(v) for v in np.clip(basis + noise, -0.8, None)])
        basis[:2] = np.stack([_unit(v) for v in np.clip(basis[:2], 0.02, None)])
    return _remix(conc, basis, rgb.shape)


def _as_ihc(
    rgb: np.ndarray, labels: np.ndarray, rng: np.random.Generator, p: AugmentParams
) -> np.ndarray:
    """Blue counterstain and brown DAB: in the cytoplasm, or in some of the nuclei."""
    conc, _ = _unmix(rgb)
    shape = labels.shape
    haem = np.clip(conc[:, 0], 0, None).reshape(shape)
    eosin = np.clip(conc[:, 1], 0, None).reshape(shape)
    inside = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), rng.uniform(0.6, 1.6))
    coarse = rng.random((5, 5)).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    field = 1 / (1 + np.exp(-(field - rng.uniform(0.2, 0.8)) * 14))
    texture = 0.35 + eosin / max(float(eosin.mean()), 0.05) * 0.5
    if rng.random() < 0.65:  # cytoplasm or membrane
        leak = rng.uniform(*p.ihc_leak)
        brown = field * texture * (1 - (1 - leak) * inside) * rng.uniform(0.3, 1.0)
    else:  # some nuclei
        on = rng.random(int(labels.max()) + 1).astype(np.float32) * (rng.random() * 1.5)
        on[0] = 0
        brown = cv2.GaussianBlur(on[labels], (0, 0), 0.7) * (0.5 + haem)
    blue = haem * rng.uniform(0.3, 0.9) + rng.uniform(0, 0.04)
    blue_vector = _unit(HAEMATOXYLIN + np.array([0.08, -0.06, -0.05]) * rng.uniform(0, 2))
    brown_vector = _unit(DAB + rng.normal(0, 0.05, 3))
    conc = np.stack([blue.ravel(), brown.ravel()], axis=1).astype(np.float32)
    return _remix(conc, np.stack([blue_vector, brown_vector]), rgb.shape)


def tone(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, white balance, saturation, contrast and brightness; float RGB 0..255."""
    unit = np.clip(rgb / 255.0, 0, 1)
    unit = unit ** np.float32(np.exp(rng.uniform(-0.35, 0.35)))
    unit = unit * rng.uniform(0.88, 1.08, 3).astype(np.float32)
    grey = unit.mean(axis=2, keepdims=True)
    unit = grey + (unit - grey) * rng.uniform(0.6, 1.4)
    middle = unit.mean()
    unit = middle + (unit - middle) * rng.uniform(0.75, 1.25) + rng.uniform(-0.08, 0.08)
    return np.clip(unit, 0, 1).astype(np.float32) * 255.0


def _optics(rgb: np.ndarray, rng: np.random.Generator, p: AugmentParams) -> np.ndarray:
    height, width = rgb.shape[:2]
    if rng.random() < p.p_lowres:
        factor = rng.uniform(1.5, 2.5)
        small = cv2.resize(
            rgb, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA
        )
        rgb = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < p.p_blur:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*p.blur_sigma))
    elif rng.random() < p.p_sharpen:
        rgb = rgb + rng.uniform(0.3, 1.2) * (rgb - cv2.GaussianBlur(rgb, (0, 0), 1.2))
    if rng.random() < p.p_noise:
        rgb = rgb + rng.normal(0, rng.uniform(*p.noise_std), rgb.shape)
    out = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    if rng.random() < p.p_jpeg:
        quality = int(rng.integers(*p.jpeg_quality))
        ok, code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])
        out = cv2.imdecode(code, cv2.IMREAD_COLOR) if ok else out
    return out
