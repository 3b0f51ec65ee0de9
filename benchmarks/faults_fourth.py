"""Faults of a fourth stranger (F), who knew the checks' ids and the documentation, no check itself.

Kinds that the ids do not suggest: exports, copies, stitching and habits of several laboratories.
Above each stands what the person must do to mend it. Where no id fits the cause, the honest
answer that none of the known causes explains it is right as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from faults_common import (
    GRID,
    PREFIX,
    Fault,
    Given,
    Plant,
    after_hv,
    both,
    every,
    network,
    predicted,
    put,
    resized,
    returns,
    squares,
    weights,
)
from scipy import ndimage
from skimage.segmentation import expand_labels, watershed
from torch.nn import functional

import napari_hovernet as nh
from napari_hovernet.core.diagnosis.case import Setup
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import LossParams

NONE = "model.unknown model.score"
"""Nothing that is known explains it: right only where no id fits the cause."""
FROM_LABELS = r"comput|again|recomput|from (the|these) labels"
ANNOTATE = r"label|annotat|export|instance|draw|own id"
LOAD = r"load|checkpoint|weights|train|file|copy"


# --- data: pictures and labels ---------------------------------------------------------


def _each(name: str, change: Any) -> Plant:
    """Change every array by change(array, its index)."""
    return lambda g: {**g, name: [change(a, i) for i, a in enumerate(g[name])]}


def _nuclei(labels: Any) -> Any:
    return [(i, labels == i) for i in np.unique(labels[labels > 0])]


def _eroded(pixels: int) -> Any:
    def change(labels: Any) -> Any:
        out = np.zeros_like(labels)
        for i, own in _nuclei(labels):
            out[ndimage.binary_erosion(own, iterations=pixels)] = i
        return out

    return change


def _rescanned(labels: Any, i: int) -> Any:
    """Place labels as another scanner saw the glass: 2 to 3 degrees, 4 %, some px off."""
    h, w = labels.shape
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), (2.0, -3.0, 2.6)[i % 3], 1.04)
    matrix[:, 2] += (5, -4)
    return cv2.warpAffine(labels.astype("f4"), matrix, (w, h), flags=0).astype("i4")


def _jpeg(array: Any, quality: int) -> Any:
    _ok, coded = cv2.imencode(".jpg", array, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)


def _mask_jpeg(labels: Any) -> Any:
    dense = np.searchsorted(np.unique(np.append(labels, 0)), labels)
    return _jpeg(np.uint8(dense % 256), 75).astype("i4")


def _thumbnail(labels: Any) -> Any:
    """Shrink the mask by interpolation, keep all that is not black, number, enlarge."""
    h, w = labels.shape
    small = cv2.resize((labels > 0).astype("f4"), (w // 4, h // 4), interpolation=cv2.INTER_LINEAR)
    parts = ndimage.label(cv2.GaussianBlur(small, (3, 3), 0) > 0.1)[0]
    return cv2.resize(parts.astype("f4"), (w, h), interpolation=0).astype("i4")


def _stitched(labels: Any) -> Any:
    """Tiles of 96 px were annotated with a border of 24 px; each border's nuclei stand twice."""
    out, top = labels.copy(), int(labels.max()) + 1
    for k, col in enumerate(range(96, labels.shape[1], 96)):
        band = np.s_[:, max(col - 24, 0) : col + 24]
        again = np.roll(labels, (4, -3), (0, 1))[band]
        out[band] = np.where(again > 0, again + top * (k + 1), out[band])
    for k, row in enumerate(range(96, labels.shape[0], 96)):
        band = np.s_[max(row - 24, 0) : row + 24]
        again = np.roll(labels, (-3, 4), (0, 1))[band]
        out[band] = np.where(again > 0, again + top * (k + 20), out[band])
    return out


def _cast(image: Any) -> Any:
    return np.uint8(image * (0.3, 0.8, 1.0))


def _recoloured(image: Any) -> Any:
    other = image[:, ::-1].astype("f4") * (1.06, 0.9, 1.03) - (6, -8, 4)
    return np.uint8(np.clip(other, 0, 255))


def _with_copies(given: Given) -> Given:
    return {**given, "held_out": [_recoloured(a) for a in given["images"][::2]]}


def _summed(labels: Any) -> Any:
    """Draw an instance map as RGB with soft edges, and add up its channels."""
    lut = np.random.default_rng(3).integers(0, 256, (int(labels.max()) + 1, 3)).astype("u1")
    lut[0] = 0
    return cv2.GaussianBlur(lut[labels], (3, 3), 0).astype("i4").sum(2)


def _discs(radius: int) -> Any:
    """Only centres were clicked; the tool drew a disc around each."""

    def change(labels: Any) -> Any:
        out = np.zeros(labels.shape, np.int32)
        for i, own in _nuclei(labels):
            row, col = (round(float(a.mean())) for a in np.nonzero(own))
            cv2.circle(out, (col, row), radius, int(i), -1)
        return out

    return change


def _classes(given: Given) -> Given:
    """Give numbers as a second laboratory: epithelial, spindle, miscellaneous, inflammatory."""
    lut = np.array([0, 3, 4, 1, 2])
    other = [lut[a] if i % 2 else a for i, a in enumerate(given["types"])]
    return {**given, "types": [a.astype("i4") for a in other]}


def _of_merged(labels: Any) -> Any:
    """HV of last year's labels, before touching nuclei were drawn apart."""
    return hv_targets(ndimage.label(cv2.dilate((labels > 0).astype("u1"), np.ones((3, 3))))[0])


def _mirrored_half(given: Given) -> Given:
    """Every other sample was written mirrored; its HV was mirrored as a picture is."""
    out = dict(given)
    for name in ("images", "labels", "np", "hv"):
        side = np.s_[:, ::-1] if name == "images" else np.s_[..., ::-1]
        out[name] = [a[side].copy() if i % 2 else a for i, a in enumerate(given[name])]
    return out


def _wrapped(hv: Any) -> Any:
    """HV times 160, stored as int8: the rim turns over."""
    return np.round(hv * 160).astype("i2").astype("i1").astype("f4") / 160


# --- model -----------------------------------------------------------------------------


def _other_head(net: Any) -> None:
    """Take the HV head of another run, for which the channels mean something else."""
    order = torch.randperm(net.heads.hv[0].in_channels, generator=torch.Generator().manual_seed(1))
    net.heads.hv[0].weight.copy_(net.heads.hv[0].weight[:, order])


def _half_copied(net: Any) -> None:
    """Mix two states: in layers of both ends, the first filters are of another run."""
    rng = torch.Generator().manual_seed(2)
    for layer in (net.down[0].conv1, net.down[1].conv2, net.up[-2].conv2, net.up[-1].conv1):
        n = layer.weight.shape[0] * 6 // 10
        layer.weight[:n] = layer.weight[torch.randperm(len(layer.weight), generator=rng)][:n]


def _foreign_statistics(net: Any) -> None:
    """Averages of batch norm that belong to the EMA of another network."""
    rng = torch.Generator().manual_seed(5)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            spread = layer.running_var.sqrt()
            layer.running_mean += 0.35 * spread * torch.randn(spread.shape, generator=rng)
            layer.running_var *= torch.exp(0.8 * torch.randn(spread.shape, generator=rng))


def _own_statistics(net: Any) -> None:
    """Batch norm goes on by the statistics of the one image that it sees."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None


def _saturated(net: Any) -> None:
    """Half precision after a scaled input: what is larger than the type holds is cut."""

    def cut(_layer: Any, _given: Any, out: torch.Tensor) -> torch.Tensor:
        return out.clamp(max=float(out.flatten()[::13].quantile(0.76)))

    net.up[-1].register_forward_hook(cut)


def _dropping(net: Any) -> None:
    """Dropout that goes on after training."""

    def drop(_layer: Any, _given: Any, out: torch.Tensor) -> torch.Tensor:
        return functional.dropout2d(out, 0.4, training=True)

    for block in net.ups:
        block.register_forward_hook(drop)


def _over_rows(np_map: Any, hv: Any) -> Any:
    """Softmax along the columns of the image in place of the two channels, shown 0 to 1."""
    logit = np.log(np.clip(np_map, 1e-6, 1 - 1e-6) / np.clip(1 - np_map, 1e-6, 1))
    grown = np.exp(logit - logit.max(0))
    return np.float32(grown / grown.max(0)), hv


def _columns_first(tokens: Any) -> Any:
    grid = tokens[PREFIX:].reshape(GRID, GRID, -1).swapaxes(0, 1)
    return np.concatenate((tokens[:PREFIX], grid.reshape(GRID * GRID, -1)))


def _coarse(np_map: Any, hv: Any) -> Any:
    """Logits at a stride of 8, made larger from corner to corner: half a coarse pixel aside."""
    h, w = np_map.shape
    grid = np.float32(np.mgrid[:h, :w])
    cols, rows = grid[1] - 4, grid[0] - 4
    move = [cv2.remap(np.float32(a), cols, rows, cv2.INTER_LINEAR) for a in (np_map, *hv)]
    return move[0], np.stack(move[1:])


def _uncut(image: Any) -> Any:
    """Add a margin of 46 px before the network, and never take it off again."""
    h, w = image.shape[:2]
    maps = predicted(np.pad(image, ((46, 46), (46, 46), (0, 0)), "reflect"))
    return maps.np[:h, :w].copy(), maps.hv[:, :h, :w].copy()


def _averaged(image: Any) -> Any:
    """Mean over the image and its four mirrors; HV as if it had no sign."""
    plain, np_maps, hvs = predicted(image), [], []
    for axes in ((), (0,), (1,), (0, 1)):
        maps = predicted(np.flip(image, axes).copy()) if axes else plain
        np_maps.append(np.flip(maps.np, axes))
        hvs.append(np.flip(maps.hv, tuple(a + 1 for a in axes)))
    return np.float32(np.mean(np_maps, 0)), np.float32(np.mean(hvs, 0))


# --- separation ------------------------------------------------------------------------


def _mask_of(np_map: Any) -> Any:
    return ndimage.binary_opening(np_map > 0.5, np.ones((3, 3)))


def _energy(np_map: Any, hv: Any) -> Any:
    """Low in the middle of a nucleus, high where two meet."""
    h, v = (cv2.GaussianBlur(np.float32(a), (0, 0), 1) for a in hv)
    steep = np.maximum(-cv2.Sobel(h, -1, 1, 0, ksize=5), -cv2.Sobel(v, -1, 0, 1, ksize=5))
    return np.clip(steep / (np.percentile(steep[_mask_of(np_map)], 99) + 1e-6), 0, 1)


def _uphill(np_map: Any, hv: Any) -> Any:
    """Run the watershed on the energy with the other sign: seeds lie upon the borders."""
    if not _mask_of(np_map).any():
        return np.zeros(np_map.shape, np.int32)
    mask, energy = _mask_of(np_map), _energy(np_map, hv)
    seeds = ndimage.label((energy > 0.4) & mask)[0]
    return watershed(-energy, seeds, mask=mask)


def _swollen_seeds(np_map: Any, hv: Any) -> Any:
    """Seeds are made larger, lest they be lost, before they are numbered."""
    if not _mask_of(np_map).any():
        return np.zeros(np_map.shape, np.int32)
    mask, energy = _mask_of(np_map), _energy(np_map, hv)
    seeds = cv2.dilate(((energy < 0.3) & mask).astype("u1"), np.ones((9, 9))) > 0
    return watershed(energy, ndimage.label(seeds & mask)[0], mask=mask)


def _gaps_filled(np_map: Any, hv: Any) -> Any:
    """Gaps between nuclei are taken for holes and given to whoever is near."""
    cut = nh.separate(nh.Maps(np=np_map, hv=hv)).labels
    closed = cv2.morphologyEx((cut > 0).astype("u1"), cv2.MORPH_CLOSE, np.ones((17, 17)))
    return np.where(ndimage.binary_fill_holes(closed), expand_labels(cut, 12), 0)


# --- loss and augmentation -------------------------------------------------------------


def _inside(values: Any, mask: Any) -> Any:
    inside = mask.float()[:, None].expand_as(values)
    return (values * inside).sum() / inside.sum().clamp(min=1)


def _detached(pred: Any, true: Any, mask: Any) -> Any:
    """Only the length learns; the error of the direction comes from a copy without gradient."""
    size, wanted = ((a.square().sum(1, keepdim=True) + 1e-6).sqrt() for a in (pred, true))
    length = _inside((size - wanted).square().expand_as(pred), mask)
    return _inside((pred.detach() - true).square(), mask) + length


def _mask_of_prediction(pred: Any, true: Any, mask: Any) -> Any:
    """Count only pixels where the network says something."""
    own = (pred.square().sum(1) > 0.01) * mask
    return _inside((pred - true).square(), own)


def _over_everything(pred: Any, true: Any, mask: Any) -> Any:
    """Mean over all pixels of the batch, empty images too, for that of the nuclei."""
    return ((pred - true).square() * mask.float()[:, None]).mean()


def _drawn(change: Any) -> Plant:
    """Give an augmentation (image, labels, hv) with random numbers of its own."""

    def plant(given: Given) -> Given:
        rng = np.random.default_rng(11)

        def own_augmentation(image: Any, labels: Any, hv: Any) -> Any:
            return change(rng, image, labels, hv)

        return {**given, "augmentation": own_augmentation}

    return plant


def _field(rng: Any, shape: Any, size: float) -> Any:
    return [cv2.GaussianBlur(np.float32(rng.uniform(-1, 1, shape)), (0, 0), 12) * size
            for _ in range(2)]  # fmt: skip


def _bent(array: Any, field: Any, how: int) -> Any:
    rows, cols = np.float32(np.mgrid[: array.shape[0], : array.shape[1]])
    return cv2.remap(array, cols + field[1], rows + field[0], how, borderMode=cv2.BORDER_REFLECT)


def _two_seeds(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Elastic; image and labels are bent by draws of their own."""
    bent = _bent(b.astype("f4"), _field(rng, b.shape, 260), 0).astype(b.dtype)
    return _bent(a, _field(rng, b.shape, 260), 1), bent, hv_targets(bent)


def _jittered_labels(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Brightness is drawn for image and mask together; ids are multiplied, too."""
    gain = rng.uniform(0.3, 1.0)
    return np.uint8(np.clip(a * gain, 0, 255)), (b * gain).astype(b.dtype), hv


def _other_corner(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Draw a crop for image and labels, and another for HV."""
    h, w = b.shape[0] * 3 // 4, b.shape[1] * 3 // 4
    (r, s), (c, d) = rng.integers(0, b.shape[0] - h + 1, 2), rng.integers(0, b.shape[1] - w + 1, 2)
    return a[r : r + h, c : c + w], b[r : r + h, c : c + w], hv[:, s : s + h, d : d + w]


MIRROR = r"mirror|sign|negat|vector|comput|again"

FOURTH = (
    # Mend: use the outlines as drawn; keep nuclei apart by HV, not by eroded labels
    Fault("F eroded to keep them apart", "lite:val", every("labels", _eroded(3)),
          f"data.coverage {NONE}", (ANNOTATE, r"small|shrink|erod|grow")),
    # Mend: register the two scans (turn, scale, shift) before the labels are used
    Fault("F drawn on another scan", "model:purple", _each("labels", _rescanned), "data.place",
          (r"regist|align|place|shift|scale|zoom|turn|export|move", ("labels_zoom", ...),
          ("labels_shift", ...))),
    # Mend: take the images from the scanner, not the copies of the presentation
    Fault("F JPEG of quality 6", "model:monuseg", every("images", lambda a: _jpeg(a, 6)),
          "data.images", (r"jpe?g|compress|original|lossless|quality|sharp|focus",)),
    # Mend: save label masks as PNG or TIFF
    Fault("F masks saved as JPEG", "model:purple", every("labels", _mask_jpeg),
          "data.labels", (r"jpe?g|lossless|png|tiff|nearest|compress|interpol",)),
    # Mend: resize instance maps by nearest neighbour, never a mask by interpolation and a threshold
    Fault("F mask of a thumbnail", "lite:monuseg", every("labels", _thumbnail), "data.labels",
          (ANNOTATE, r"nearest|interpol|component|touch|full size|resiz")),
    # Mend: stitch annotated tiles by their centres; drop the second copy of a nucleus
    Fault("F doubles at tile borders", "model:val", every("labels", _stitched), "data.labels",
          (r"tile|stitch|border|twice|double|merge|fragment|component|one id",)),
    # Mend: export nuclei, not QuPath's cells
    Fault("F cells for nuclei", "lite:white", every("labels", lambda a: expand_labels(a, 9)),
          f"data.coverage {NONE}", (ANNOTATE, r"larg|expan|cell|shrink|nucle")),
    # Mend: correct the white balance of these images
    Fault("F no white balance", "model:monuseg", every("images", _cast, 2),
          "data.images model.input", (r"white|balance|colou?r|stain|normali|background|scan",)),
    # Mend: divide by slide before anything is mirrored or recoloured
    Fault("F held out, mirrored and recoloured", "data:val", _with_copies, "data.leak",
          (r"split|divide|remove|drop|both sides|by (image|slide|patient)",)),
    # Mend: bring the second laboratory's classes to the names of the first
    Fault("F classes of two laboratories", "typed:consep", _classes, "data.types model.types",
          (r"class|type|names?|map|order|remap|number",)),
    # Mend: leave background at 0 when ids are made unique
    Fault("F ids and background from 1000 on", "model:white",
          _each("labels", lambda a, i: a + 1000 * (i + 1)), "data.labels data.coverage",
          (r"background|\b0\b|zero|offset|instance",)),
    # Mend: read R + 256 G + 65536 B (or store ids as 16 bit), without soft edges
    Fault("F soft colours summed", "lite:val", every("labels", _summed), "data.labels",
          (ANNOTATE, r"colou?r|lossless|nearest|interpol|fragment")),
    # Mend: draw outlines; clicked centres give no shape
    Fault("F discs about clicks", "model:consep", every("labels", _discs(6)), NONE,
          (ANNOTATE, r"disc|shape|outline|size")),
    # --- stored targets
    # Mend: compute HV of the mirrored samples again from their labels
    Fault("F half of the samples mirrored", "targets:purple", _mirrored_half,
          "data.targets", (MIRROR, FROM_LABELS)),
    # Mend: store HV as float, or times 127
    Fault("F int8 turns over", "targets:val", every("hv", _wrapped),
          "data.targets", (FROM_LABELS, r"int8|overflow|wrap|127|float|divi")),
    # Mend: compute HV again from this year's labels
    Fault("F HV of last year's labels", "targets:gen",
          lambda g: {**g, "hv": [_of_merged(a) for a in g["labels"]]},
          "data.targets", (FROM_LABELS,)),
    # --- model
    # Mend: load the HV head that belongs to this encoder
    Fault("F head of another run", "model:val", weights(_other_head),
          f"model.weights model.checkpoint model.hv_direction {NONE}", (LOAD,)),
    # Mend: copy the checkpoint again, whole
    Fault("F copy that broke off", "model:purple", weights(_half_copied),
          f"model.weights model.checkpoint {NONE}", (LOAD,)),
    # Mend: load the statistics of batch norm that belong to the weights
    Fault("F statistics of another EMA", "lite:val", weights(_foreign_statistics),
          "model.activations model.weights",
          (r"batch.?norm|statistic|running|load|checkpoint|train",)),
    # Mend: model.eval()
    Fault("F batch norm of one image", "model:white", weights(_own_statistics), "model.activations",
          (r"eval|batch.?norm|statistic|running|train(ing)? mode",)),
    # Mend: run in float32 or bfloat16
    Fault("F cut by half precision", "model:monuseg", weights(_saturated),
          f"model.activations {NONE}", (r"precision|float|half|saturat|clip|bfloat|amp",)),
    # Mend: model.eval(), or take the dropout out
    Fault("F dropout goes on", "lite:purple", weights(_dropping), f"model.activations {NONE}",
          (r"eval|dropout|train(ing)? mode|random",)),
    # Mend: turn HV back (it is stored column by column, NP row by row)
    Fault("F HV column by column", "model:gen",
          both(squares(), after_hv(lambda hv: hv.transpose(2, 3))),
          "model.place model.hv_direction",
          (r"transpos|turn|place|row|column", ("maps_turn", ...))),
    # Mend: no temperature at inference (it was for distillation)
    Fault("F temperature of five", "lite:monuseg",
          network(after=lambda out: {**out, "np": out["np"] / 5}), "model.np",
          (r"temperature|activation|softmax|logit|range|calibrat|threshold|sharp",
           ("np_threshold", ...))),
    # Mend: resize with align_corners as in training
    Fault("F off by half a coarse pixel", "model:purple", returns(_coarse), "model.place",
          (r"place|shift|move|align|offset|pixel", ("maps_shift", ...))),
    # Mend: crop the margin of 46 px on both sides
    Fault("F margin never cut", "model:monuseg", put(model=_uncut), "model.place",
          (r"place|shift|move|crop|margin|offset|align", ("maps_shift", ...))),
    # Mend: turn and negate HV of each mirror before the mean
    Fault("F mirrors averaged", "model:val", put(model=_averaged),
          "model.hv_length model.hv_direction", (r"mirror|flip|sign|averag|mean|augment|train",)),
    # Mend: softmax over the channels, not over the rows of the image
    Fault("F softmax over rows", "function:white", returns(_over_rows), "model.np",
          (r"softmax|channel|activation|axis|dimension|sigmoid", ("np_activation", ...))),
    # Mend: read patches row by row (they were written column by column)
    Fault("F patches column by column", "tokens:gen", every("features", _columns_first),
          "model.place", (r"transpos|turn|order|row|column|patch", ("maps_turn", ...))),
    # --- separation
    # Mend: change the two thresholds back (NP 0.5, energy 0.4)
    Fault("F thresholds swapped over", "maps:monuseg",
          put(separation=replace(nh.SeparationParams.preset("hover_net"),
                                 np_threshold=0.7, energy_threshold=0.3)),
          "separation.tuning", (r"tun|threshold|preset|default", ("separation", ...))),
    # Mend: watershed on the energy that is low in the middle
    Fault("F energy uphill", "maps:val", put(separation=_uphill),
          "separation.seeds separation.oracle", (r"sign|negat|energy|seed|middle|preset|local",
          ("separation", ...))),
    # Mend: number the seeds before they are grown, or do not grow them
    Fault("F seeds swollen", "maps:purple", put(separation=_swollen_seeds),
          "separation.seeds separation.oracle", (r"seed|marker|preset|local", ("separation", ...))),
    # Mend: fill holes within each nucleus only
    Fault("F gaps taken for holes", "maps:golden", put(separation=_gaps_filled),
          "separation.oracle separation.tuning",
          (r"hole|gap|mask|preset|local|own", ("separation", ...))),
    # --- loss
    # Mend: no detach() around the prediction
    Fault("F prediction detached", "nothing:", put(loss=_detached), "loss.minimum loss.gradient",
          (r"detach|direction|gradient|graph|backward|copy",)),
    # Mend: mask by the labels alone
    Fault("F mask of the prediction", "nothing:", put(loss=_mask_of_prediction),
          "loss.minimum loss.weights loss.gradient", (r"mask|label|true|inside",)),
    # Mend: divide by the pixels of nuclei
    Fault("F mean over empty images", "nothing:", put(loss=_over_everything), "loss.weights",
          (r"divide|denominator|nucle|pixels|mean|mask",)),
    # Mend: give NP and HV their own weights back
    Fault("F weights of NP and HV changed over", "nothing:",
          put(loss=LossParams(lambda_np=50.0, lambda_hv=0.01)), "loss.weights",
          (r"weight|lambda|share|balance",)),
    # --- augmentation
    # Mend: one field for image and labels
    Fault("F elastic of two seeds", "data:gen", _drawn(_two_seeds),
          "augmentation.labels augmentation.image", (r"same|together|both|seed|labels|draw",)),
    # Mend: leave ids alone when brightness is drawn
    Fault("F brightness of ids", "data:purple", _drawn(_jittered_labels), "augmentation.labels",
          (r"label|ids|nearest|mask|image alone|instance",)),
    # Mend: crop HV where the labels are cropped, or compute it after the crop
    Fault("F another crop for HV", "data:white", _drawn(_other_corner), "augmentation.hv",
          (r"crop|same|together|hv|comput|again|after",)),
)  # fmt: skip


# --- healthy ---------------------------------------------------------------------------


def _pale(image: Any) -> Any:
    return np.uint8(np.round(255 - (255 - image.astype("f4")) * 0.62))


def _few(given: Given) -> Given:
    """Take a corner of each image, with what lies there."""
    return squares(144)(given)


def _strong(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Mirrors, quarter turns and colours, all strong and all right."""
    k, mirror = int(rng.integers(4)), bool(rng.integers(2))
    a, b = (np.rot90(x[:, ::-1] if mirror else x, k).copy() for x in (a, b))
    colour = a * rng.uniform(0.7, 1.2, 3) + rng.uniform(-20, 20, 3)
    return np.uint8(np.clip(colour, 0, 255)), b, hv_targets(b)


def _other_convention(given: Given) -> Given:
    """[V, H] inward, and said to be."""
    stored = [-hv_targets(a)[::-1] for a in given["labels"]]
    return {**given, "hv": stored, "setup": Setup(target_order="vh", target_sign="inward")}


def _tta(image: Any) -> Any:
    """Mean over the image and its mirror; HV turned and negated as a vector is."""
    plain, mirror = predicted(image), predicted(image[:, ::-1].copy())
    hv = mirror.hv[:, :, ::-1] * np.float32([-1, 1])[:, None, None]
    return (plain.np + mirror.np[:, ::-1]) / 2, (plain.hv + hv) / 2


def _at_20x(image: Any) -> Any:
    """Stand for a model trained at 0.5 um per pixel."""
    h, w = image.shape[:2]
    maps = predicted(cv2.resize(image, (2 * w, 2 * h), interpolation=cv2.INTER_CUBIC))
    down = [cv2.resize(a, (w, h), interpolation=cv2.INTER_AREA) for a in (maps.np, *maps.hv)]
    return down[0], np.stack(down[1:])


FOURTH_HEALTHY: dict[str, tuple[str, Plant]] = {
    "F pale stain at 40x": ("lite:consep", every("images", _pale)),
    "F brown stain, no labels": ("lite:ihc", lambda given: given),
    "F few nuclei": ("lite:monuseg", _few),
    "F types, ids from 10 000": (
        "typed:consep",
        _each("labels", lambda a, i: np.where(a > 0, a + 10_000 * (i + 1), 0).astype("i4")),
    ),
    "F a model for 20x on images at 20x": ("model:val", both(resized(0.5), put(model=_at_20x))),
    "F strong augmentation": ("data:purple", _drawn(_strong)),
    "F stored inward, V first": ("targets:monuseg", _other_convention),
    "F mirrors averaged as vectors": ("model:val", put(model=_tta)),
}


FOURTH_PAIRS = (
    ("F cells for nuclei", "F mirrors averaged"),
    ("F temperature of five", "F masks saved as JPEG"),
    ("F drawn on another scan", "F seeds swollen"),
    ("F doubles at tile borders", "F brightness of ids"),
    ("F classes of two laboratories", "F gaps taken for holes"),
    ("F int8 turns over", "F mask of the prediction"),
    ("F HV of last year's labels", "F another crop for HV"),
    ("F eroded to keep them apart", "F energy uphill"),
    ("F held out, mirrored and recoloured", "F weights of NP and HV changed over"),
    ("F dropout goes on", "F elastic of two seeds"),
)
