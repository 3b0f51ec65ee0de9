"""Augmentation: geometry on image and labels together, colour in optical density.

HV is never augmented: targets are made from the labels *after* the geometry, so a flip
cannot disagree with its HV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .stains import DAB, HAEMATOXYLIN, STANDARD, Stain, basis_of, between, remix, unit, unmix


@dataclass(frozen=True)
class AugmentParams:
    """Strengths; ``p_`` are probabilities, ranges are uniform unless said otherwise."""

    crop: int = 256
    scale: tuple[float, float] = (0.5, 2.0)
    p_wide_scale: float = 0.35
    narrow_scale: tuple[float, float] = (0.75, 1.33)
    p_free_rotation: float = 0.5
    p_stretch: float = 0.3
    stretch: float = 0.15
    p_jitter: float = 0.35
    p_real_stain: float = 0.30
    p_any_stain: float = 0.10
    p_ihc: float = 0.06
    gain: tuple[float, float] = (0.5, 1.5)
    bias: float = 0.06
    vector_noise: float = 0.03
    vector_spread: float = 0.10
    p_fade: float = 0.15
    p_tone: float = 0.6
    p_grey: float = 0.02
    p_blur: float = 0.22
    blur_sigma: tuple[float, float] = (0.4, 1.8)
    p_sharpen: float = 0.1
    p_lowres: float = 0.12
    p_noise: float = 0.22
    noise_std: tuple[float, float] = (2.0, 10.0)
    p_jpeg: float = 0.3
    jpeg_quality: tuple[int, int] = (30, 90)
    ihc_leak: tuple[float, float] = (0.1, 0.7)
    p_empty: float = 0.07
    p_red_cells: float = 0.08
    p_ink: float = 0.02


def geometry(
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    p: AugmentParams,
    enlarge: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, turn, flip and crop; return image, labels and the mask of real pixels.

    ``enlarge`` brings the image near 0.25 um per pixel; ``shift`` (x, y) is how far, in
    pixels, its labels lie to the left of and above what they outline.
    """
    wide = rng.random() < p.p_wide_scale
    low, high = p.scale if wide else p.narrow_scale
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * (1.0 if wide else enlarge)
    angle = rng.uniform(0, 360) if rng.random() < p.p_free_rotation else 90.0 * rng.integers(4)
    stretch = np.exp(rng.uniform(-p.stretch, p.stretch)) if rng.random() < p.p_stretch else 1.0
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    flip = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
    linear = np.array([[c, -s], [s, c]]) @ np.diag([scale * stretch, scale / stretch]) @ flip
    height, width = labels.shape
    half = p.crop / 2 / scale
    centre = np.array([_centre(width, half, rng), _centre(height, half, rng)])
    offset = p.crop / 2 - 0.5 - linear @ centre
    matrix = np.hstack([linear, offset[:, None]])
    label_matrix = np.hstack([linear, (offset + linear @ np.array(shift))[:, None]])
    size = (p.crop, p.crop)
    if scale < 0.75:  # warpAffine does not average: shrink by blur first
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale)
    warped = cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    lab = cv2.warpAffine(
        labels.astype(np.float32), label_matrix, size, flags=cv2.INTER_NEAREST, borderValue=0
    ).astype(np.int32)
    real = cv2.warpAffine(
        np.ones(labels.shape, np.uint8), matrix, size, flags=cv2.INTER_NEAREST, borderValue=0
    )
    return warped, lab, real


def _centre(extent: int, half: float, rng: np.random.Generator) -> float:
    low, high = half, extent - 1 - half
    return float(rng.uniform(low, high)) if high > low else (extent - 1) / 2


def colour(
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    p: AugmentParams,
    own: Stain = STANDARD,
    stains: list[Stain] | None = None,
) -> np.ndarray:
    """Change stain, tone, sharpness and noise of an RGB uint8 image."""
    draw, rgb = rng.random(), image.astype(np.float32)
    if draw < p.p_jitter + p.p_real_stain:
        other = between(stains or [STANDARD], rng, p.vector_noise)
        rgb = restain(rgb, rng, p, own, own if draw < p.p_jitter else other)
    elif draw < p.p_jitter + p.p_real_stain + p.p_any_stain:
        rgb = restain(rgb, rng, p, own, _any_stain(rng, p.vector_spread))
    elif draw < p.p_jitter + p.p_real_stain + p.p_any_stain + p.p_ihc:
        rgb = _as_ihc(rgb, labels, rng, p)
    if rng.random() < p.p_tone:
        rgb = tone(rgb, rng)
    if rng.random() < p.p_grey:
        rgb = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    return _optics(rgb, rng, p)


def restain(
    rgb: np.ndarray, rng: np.random.Generator, p: AugmentParams, own: Stain, other: Stain
) -> np.ndarray:
    """Take an image from its own stains to others, of a random strength; float RGB 0..255."""
    amounts = unmix(rgb, own)
    gain = rng.uniform(*p.gain, 3).astype(np.float32)
    if other is not own:
        ratio = (other.strength / own.strength).clip(0.3, 3)
        gain[:2] = ratio * rng.uniform(0.7, 1.35, 2)
    gain[2] = rng.uniform(0.5, 1.3)
    amounts = amounts * gain + rng.uniform(-p.bias, p.bias, 3).astype(np.float32)
    if rng.random() < p.p_fade:
        amounts[:, 0] *= 1 - _field(rgb.shape[:2], rng).ravel() * rng.uniform(0.2, 0.65)
    return remix(amounts, basis_of(other.vectors), rgb.shape)


def _any_stain(rng: np.random.Generator, spread: float) -> Stain:
    vectors = STANDARD.vectors + rng.normal(0, spread, (2, 3))
    return Stain(np.stack([unit(v) for v in np.clip(vectors, 0.02, None)]), STANDARD.strength)


def _field(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Smooth random field of 0..1."""
    coarse = rng.random((int(rng.integers(2, 6)),) * 2).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _as_ihc(
    rgb: np.ndarray, labels: np.ndarray, rng: np.random.Generator, p: AugmentParams
) -> np.ndarray:
    """Blue counterstain and brown DAB: in the cytoplasm, or in some of the nuclei."""
    amounts = np.clip(unmix(rgb, STANDARD), 0, None)
    shape = labels.shape
    haem, eosin = amounts[:, 0].reshape(shape), amounts[:, 1].reshape(shape)
    inside = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), rng.uniform(0.6, 1.6))
    texture = 0.35 + eosin / max(float(eosin.mean()), 0.05) * 0.5
    if rng.random() < 0.65:  # cytoplasm or membrane
        field = 1 / (1 + np.exp(-(_field(shape, rng) - rng.uniform(0.2, 0.8)) * 14))
        leak = rng.uniform(*p.ihc_leak)
        brown = field * texture * (1 - (1 - leak) * inside) * rng.uniform(0.3, 1.0)
    else:  # some nuclei
        on = rng.random(int(labels.max()) + 1).astype(np.float32) * (rng.random() * 1.5)
        on[0] = 0
        brown = cv2.GaussianBlur(on[labels], (0, 0), 0.7) * (0.5 + haem)
    blue = haem * rng.uniform(0.3, 0.9) + rng.uniform(0, 0.04)
    blue_vector = unit(HAEMATOXYLIN + np.array([0.08, -0.06, -0.05]) * rng.uniform(0, 2))
    brown_vector = unit(DAB + rng.normal(0, 0.05, 3))
    both = np.stack([blue.ravel(), brown.ravel()], axis=1).astype(np.float32)
    return remix(both, np.stack([blue_vector, brown_vector]), rgb.shape)


def tone(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, white balance, saturation, contrast and brightness; float RGB 0..255."""
    values = np.clip(rgb / 255.0, 0, 1)
    values = values ** np.float32(np.exp(rng.uniform(-0.3, 0.3)))
    values = values * rng.uniform(0.88, 1.08, 3).astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.6, 1.4)
    middle = values.mean()
    values = middle + (values - middle) * rng.uniform(0.75, 1.25) + rng.uniform(-0.08, 0.08)
    return np.clip(values, 0, 1).astype(np.float32) * 255.0


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


def plant(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, p: AugmentParams
) -> tuple[np.ndarray, np.ndarray]:
    """Put in what no training image has: red cells, ink, black, white and grey borders."""
    if rng.random() < p.p_red_cells:
        image = _red_cells(image, labels, rng)
    if rng.random() < p.p_ink:
        image = _ink(image, rng)
    if rng.random() < p.p_empty:
        image, labels = _empty(image, labels, rng)
    return image, labels


def _red_cells(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Discs without a nucleus, clear of all nuclei, of one size and nearly one colour."""
    height, width = labels.shape
    near = cv2.dilate((labels > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    colour_ = np.array([rng.uniform(150, 235), rng.uniform(40, 130), rng.uniform(50, 140)])
    radius, middle = rng.uniform(5, 15), rng.uniform(0, (width, height))
    spread, opacity = rng.uniform(15, 80), rng.uniform(0.5, 0.95)
    out = image.astype(np.float32)
    for _ in range(int(rng.integers(4, 40))):
        x, y = rng.normal(middle, spread)
        axes = [max(1, round(16 * radius * rng.uniform(0.75, 1.15))) for _ in range(2)]
        disc = np.zeros(labels.shape, np.float32)
        at = (round(16 * x), round(16 * y))
        cv2.ellipse(disc, at, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_8, 4)
        if (disc * near).any():
            continue
        disc = cv2.GaussianBlur(disc, (0, 0), rng.uniform(0.6, 1.2))
        if rng.random() < 0.5:  # paler in the middle
            disc *= 1 - 0.35 * cv2.GaussianBlur(disc, (0, 0), radius * 0.5)
        share = (disc * opacity)[..., None]
        out = out * (1 - share) + (colour_ + rng.normal(0, 6, 3)) * share
    return np.clip(out, 0, 255).astype(np.uint8)


def _ink(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover a part with a see-through pen mark of one colour."""
    mask = np.zeros(image.shape[:2], np.float32)
    ends = rng.uniform(-50, mask.shape[0] + 50, (2, 2)).round().astype(int)
    cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 1.0, int(rng.integers(30, 160)))
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 6))[..., None] * rng.uniform(0.3, 0.9)
    pen = np.array([rng.uniform(0, 90), rng.uniform(0, 170), rng.uniform(60, 220)])
    out = image * (1 - mask) + image * (pen / 255) * mask
    return np.clip(out, 0, 255).astype(np.uint8)


def _empty(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut away one side, or all, and leave one flat shade: no nucleus is there."""
    height, width = labels.shape
    if rng.random() < 0.12:
        gone = np.ones(labels.shape, bool)
    else:
        angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else np.pi / 2 * rng.integers(4)
        y, x = np.mgrid[:height, :width]
        along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
        gone = along > rng.uniform(-0.2, 0.45) * width
    dark, light = rng.uniform(0, 12), rng.uniform(225, 255)
    level = (dark, light, 255.0, 0.0, rng.uniform(60, 225))[int(rng.integers(5))]
    shade = np.full(3, level) + (rng.normal(0, 3, 3) if rng.random() < 0.5 else 0)
    image, labels = image.copy(), np.where(gone, 0, labels)
    noise = rng.normal(0, rng.uniform(0, 4), (int(gone.sum()), 1)) * (rng.random() < 0.5)
    image[gone] = np.clip(shade + noise, 0, 255)
    return image, labels
