"""Score a run's averaged weights on the validation images and write the best one.

    python tools/pick_default_model.py --data ../shared/data --run runs/default \
        --write src/napari_hovernet/core/weights/compact.safetensors

Each candidate is judged on the images as they are and, as a stand-in for other
laboratories, on the same images restained and at 0.6 and 1.6 times their size. The one
with the highest mean of AJI and PQ, three parts as they are and one part each shift, is
written as float16 together with its scores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from default_model.augment import AugmentParams, restain, tone
from default_model.data import Sample, load_split

import napari_hovernet as nh
from napari_hovernet.core.networks.compact import CompactUNet

LICENCE = "CC BY-NC-SA 4.0 (trained on MoNuSeg; the DSB 2018 part is CC0)"
MPP = 0.25
PLAIN_PARTS = 3.0
SHIFTS = ("restained", "x0.6", "x1.6")


def shifted(sample: Sample, shift: str) -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels under a named change, the same at every call."""
    if shift == "restained":
        rng = np.random.default_rng(sum(sample.name.encode()))
        rgb = restain(sample.image.astype(np.float32), rng, AugmentParams(), spread=0.1)
        return np.clip(tone(rgb, rng), 0, 255).astype(np.uint8), sample.labels
    if shift.startswith("x"):
        factor = float(shift[1:])
        smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        image = cv2.resize(sample.image, None, fx=factor, fy=factor, interpolation=smooth)
        size = image.shape[1::-1]
        labels = cv2.resize(sample.labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
        return image, labels.astype(np.int32)
    return sample.image, sample.labels


def score(model: nh.Model, samples: list[Sample], shift: str) -> Iterator[dict[str, object]]:
    """Yield one row of scores per image."""
    for sample in samples:
        image, labels = shifted(sample, shift)
        maps = nh.predict(model, image)
        found = nh.separate(maps).labels
        inside = labels > 0
        truth = nh.hv_targets(labels)
        yield {
            "name": sample.name,
            "source": sample.source,
            **nh.evaluate(labels, found).as_dict(),
            "magnitude": float(maps.magnitude[inside].mean()),
            "magnitude_true": float(np.hypot(*truth)[inside].mean()),
        }


def mean(rows: list[dict[str, object]], key: str) -> float:
    """Average one column."""
    return float(np.mean([row[key] for row in rows]))


def as_model(weights: Path, half: bool = True) -> nh.Model:
    """Build the model of one file of averaged weights, rounded to float16 as shipped."""
    network = CompactUNet()
    state = torch.load(weights, weights_only=True, map_location="cpu")
    if half:
        state = {k: v.half().float() if v.is_floating_point() else v for k, v in state.items()}
    network.load_state_dict(state)
    info = nh.ModelInfo(
        architecture="compact",
        mpp=MPP,
        hv_convention="hover_net",
        parameters=sum(p.numel() for p in network.parameters()),
        licence=LICENCE,
        source="tools/train_default_model.py",
        file_kind="napari-hovernet",
        config=network.config,
    )
    network = network.eval().to(memory_format=torch.channels_last)
    return nh.Model(network=network, info=info, device=torch.device("cpu"))


def judge(model: nh.Model, samples: list[Sample], shifts: tuple[str, ...]) -> dict[str, object]:
    """Return the rows and the means of one candidate."""
    result: dict[str, object] = {}
    total = weight = 0.0
    for shift in ("plain", *shifts):
        rows = list(score(model, samples, shift))
        keys = ("aji", "pq", "dice", "magnitude", "magnitude_true")
        result[shift] = {"mean": {k: mean(rows, k) for k in keys}, "rows": rows}
        parts = PLAIN_PARTS if shift == "plain" else 1.0
        total += parts * (mean(rows, "aji") + mean(rows, "pq")) / 2
        weight += parts
    result["score"] = total / weight
    return result


def main() -> None:
    """Judge all candidates, print a table, write the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--last", type=int, default=4, help="how many of the last weights to try")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    samples = load_split(args.data, "val")
    judged = {}
    for path in sorted(args.run.glob("step_*.pt"))[-args.last :]:
        judged[path] = judge(as_model(path), samples, SHIFTS)
        means = {k: judged[path][k]["mean"] for k in ("plain", *SHIFTS)}
        cells = "  ".join(f"{k} {m['aji']:.3f}/{m['pq']:.3f}" for k, m in means.items())
        mag = means["plain"]["magnitude"] / means["plain"]["magnitude_true"]
        print(f"{path.name}  score {judged[path]['score']:.4f}  {cells}  magnitude x{mag:.3f}")
    best = max(judged, key=lambda path: judged[path]["score"])
    (args.run / "scores.json").write_text(
        json.dumps({path.name: value for path, value in judged.items()}, indent=1)
    )
    print(f"best: {best.name}")
    if args.write:
        write(best, judged[best], args)


def write(best: Path, scores: dict[str, object], args: argparse.Namespace) -> None:
    """Save the winner with its training arguments and scores in the header."""
    model = as_model(best, half=False)
    config = json.loads((args.run / "config.json").read_text())
    history = [json.loads(s) for s in (args.run / "log.jsonl").read_text().splitlines()]
    validation = {k: scores[k]["mean"] for k in ("plain", *SHIFTS)}
    keep = (
        "steps",
        "late",
        "again",
        "again_steps",
        "batch",
        "lr",
        "weight_decay",
        "seed",
        "ema",
        "shares",
        "loss",
    )
    training = {k: config[k] for k in keep}
    training.update(weights=best.name, validation=validation)
    info = nh.ModelInfo(
        **{
            **{f: getattr(model.info, f) for f in nh.ModelInfo.__dataclass_fields__},
            "training": training,
            "history": tuple(history[:: max(1, len(history) // 40)]),
        }
    )
    saved = nh.Model(network=model.network, info=info, device=model.device)
    nh.save_model(saved, args.write, dtype=torch.float16)
    print(f"written: {args.write} ({args.write.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
