"""The story on real data: a collapsed HV branch, and what lambda_magnitude does for it.

    python benchmarks/blob_to_cells.py --data ../shared/data --out runs/story

1. A collapsed model is made of the built-in one: it is trained on, at lambda_magnitude 0,
   with HV whose sign is right in half of the crops (augmentation that flips HV by the wrong
   rule). The best answer to a target that is +x as often as -x is 0, so HV goes to 0.
2. From there it is fine-tuned, with right targets, for 50 short epochs at lambda_magnitude
   0, 1 and 5, all else equal; the models after 5 and 50 epochs are scored.
3. For comparison the wrong sign is kept and lambda_magnitude is 1 and 5: length can be
   bought, direction cannot.

Every number is a mean over all validation images of the data. Models and scores that are
there already are not made again.

    python benchmarks/blob_to_cells.py --picture --out runs/picture

shows the story's own picture on one real image: its three faults together (NP from masks of
which 86 % are nucleus, HV flipped by the wrong rule, the union labelled anew after the
watershed) make one blob, and they are mended one after another.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from napari_hovernet.app.evaluate import evaluate_steps
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.predictors import ModelPredictor
from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.data.samples import LoadedData
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.params import (
    AugmentParams,
    DataParams,
    LossParams,
    OptimParams,
    SeparationParams,
    TrainConfig,
)
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.training.crops import CropDataset
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.core.training.loop import run_training
from napari_hovernet.core.types import Model

LAMBDAS = (0.0, 1.0, 5.0)
STEPS_PER_EPOCH, BATCH, CROP = 25, 8, 128
"""A short epoch: 25 steps of 8 crops of 128 x 128 pixels."""
RATE = 1e-3
WRONG_EPOCHS = 20
"""Epochs with the wrong sign."""
PICTURE = "monuseg_49-4488-01"
"""A validation image of 640 x 640 with 235 nuclei, many of which touch."""
PICTURE_EPOCHS = 8
COVERED = 0.86
"""Share of a crop that is nucleus by the wrong masks, as in the story."""
SHOWN = ("magnitude_inside", "hv_cosine", "hv_mse", "dice", "aji", "pq", "cc_aji", "oracle_aji")
"""Columns of the table, as the batch evaluation names them."""
WORDS = {"start": 0.10, "epoch 5": 0.25, "end": 0.50, "AJI": 0.60, "blob": 0.12, "cells": 0.5}
"""What is to be shown: below the first at the start, above the others."""


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/story"))
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--val", type=int, default=2, help="images scored after each epoch")
    parser.add_argument("--lambdas", type=float, nargs="+", default=LAMBDAS)
    parser.add_argument("--picture", action="store_true", help="one image, one blob, step by step")
    parser.add_argument("--skip-wrong", action="store_true", help="leave part 3 out")
    return parser.parse_args()


def settings(args: argparse.Namespace, start: str, name: str, weight: float) -> TrainConfig:
    """Return the choices of one run."""
    return TrainConfig(
        start=start,
        name=name,
        data=DataParams(sources=(str(args.data.resolve()),), crop=CROP, max_val=args.val),
        loss=LossParams(lambda_magnitude=weight),
        augment=AugmentParams(),
        optim=OptimParams(
            epochs=args.epochs,
            batch=BATCH,
            steps_per_epoch=STEPS_PER_EPOCH,
            lr=RATE,
            schedule="cosine",
        ),
        device="cpu",
        save_epochs=(5,),
    )


def grown(nucleus: torch.Tensor) -> torch.Tensor:
    """Let nuclei (B, H, W) grow until most of the crops is nucleus: masks of the wrong channels."""
    for _ in range(nucleus.shape[-1]):
        if nucleus.float().mean() >= COVERED or not nucleus.any():
            break
        nucleus = F.max_pool2d(nucleus[:, None].float(), 3, 1, 1)[:, 0].to(nucleus.dtype)
    return nucleus


def wrong_batches(
    loaded: LoadedData, epochs: int, masks: bool = False, flips: bool = True
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches with the story's faults: HV of the wrong sign in half of the crops, masks."""
    data = DataParams(crop=CROP)
    crops = CropDataset(loaded.train, data, AugmentParams(), 1, STEPS_PER_EPOCH * BATCH)
    draws = torch.Generator().manual_seed(1)
    for epoch in range(1, epochs + 1):
        crops.set_epoch(epoch)
        for step in range(STEPS_PER_EPOCH):
            items = [crops[step * BATCH + i] for i in range(BATCH)]
            batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
            sign = torch.randint(0, 2, (BATCH, 1, 1, 1), generator=draws) * 2 - 1
            nucleus = grown(batch["np"]) if masks else batch["np"]
            yield {**batch, "np": nucleus, "hv": batch["hv"] * (sign if flips else 1)}


def train_wrong(model: Model, batches: Iterator[dict[str, torch.Tensor]], weight: float) -> None:
    """Train a model, in place, on what may be wrong."""
    torch.manual_seed(0)
    loss = HoverLoss.from_params(LossParams(lambda_magnitude=weight))
    network = model.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    for batch in batches:
        out = network(batch["image"].float())
        total, _ = loss(
            out["np"], out["hv"], None, batch["np"], batch["hv"], None, valid=batch["valid"]
        )
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    network.eval()


def misled(args: argparse.Namespace, loaded: LoadedData, weight: float) -> Path:
    """Make a model that was trained on a meaningless sign, once."""
    path = args.out / f"wrong_sign_{weight:g}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model = load_model("compact", "cpu")
        train_wrong(model, wrong_batches(loaded, WRONG_EPOCHS), weight)
        notes = (*model.info.notes, "HV trained with a meaningless sign, to show what that does")
        save_model(replace(model, info=replace(model.info, notes=notes)), path)
    return path


def picture(args: argparse.Namespace, loaded: LoadedData) -> int:
    """Make the blob, mend one fault after another, and print a line for each."""
    (pair,) = (p for p in find_pairs(args.data, split="val") if p.name == PICTURE)
    relabel, whole = (TuneParams(SeparationParams.preset(n)) for n in ("merging_relabel", "local"))
    model = load_model("compact", "cpu")
    steps = (
        ("as in the story", {"masks": True}, 0.0, relabel),
        ("lambda_magnitude 5", {"masks": True}, 5.0, relabel),
        ("union not labelled anew", None, 0.0, whole),
        ("masks of the nuclei", {}, 5.0, whole),
        ("flips by the right rule", {"flips": False}, 5.0, whole),
    )
    print(f"{'':26s}" + "".join(f"{name:>17s}" for name in (*SHOWN, "n_pred")))
    found = []
    for title, wrong, weight, cut in steps:
        if wrong is not None:
            train_wrong(model, wrong_batches(loaded, PICTURE_EPOCHS, **wrong), weight)
        result = drive(evaluate_steps([pair], ModelPredictor(model, tuning=cut)))
        found.append(dict(result.rows[0].values))
        row(title, found[-1], (*SHOWN, "n_pred"))
    return 0 if found[0]["aji"] < WORDS["blob"] and found[-1]["aji"] > WORDS["cells"] else 1


def fine_tuned(args: argparse.Namespace, start: Path, weight: float) -> RunFolder:
    """Fine-tune at one weight, once."""
    folder = RunFolder(args.out / f"lambda_{weight:g}")
    if folder.read_status().get("state") != "done":
        began = time.perf_counter()
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_config(settings(args, str(start.resolve()), folder.name, weight))
        status = run_training(folder, resume=folder.resume_file.exists())
        print(f"lambda {weight:g}: exit status {status}, {time.perf_counter() - began:.0f} s")
    return folder


def scores(args: argparse.Namespace, model: Path) -> dict[str, float]:
    """Return the means of a model over all validation images, measured once."""
    stored = model.with_suffix(".scores.json")
    if not stored.exists():
        pairs = find_pairs(args.data, split="val")
        result = drive(evaluate_steps(pairs, ModelPredictor(load_model(model, "cpu"))))
        means = {name: interval.mean for name, interval in result.overall.means.items()}
        stored.write_text(json.dumps(means, indent=1))
    found: dict[str, float] = json.loads(stored.read_text())
    return found


def row(title: str, found: dict[str, float], shown: Sequence[str] = SHOWN) -> None:
    """Print one line of the table."""
    print(f"{title:26s}" + "".join(f"{found[name]:>17.3f}" for name in shown), flush=True)


def main() -> int:
    """Make, fine-tune, print; exit 1 if what is to be shown was not."""
    args = arguments()
    loaded = load_samples(DataParams(sources=(str(args.data.resolve()),)))
    if args.picture:
        return picture(args, loaded)
    start = misled(args, loaded, 0.0)
    print(f"{'':26s}" + "".join(f"{name:>17s}" for name in SHOWN))
    row("built-in model", scores_of_built_in(args))
    row("collapsed (start)", scores(args, start))
    ends = []
    for weight in args.lambdas:
        folder = fine_tuned(args, start, weight)
        early, end = scores(args, folder.model_of(5)), scores(args, folder.last)
        row(f"lambda {weight:g}, epoch 5", early)
        row(f"lambda {weight:g}, epoch {args.epochs}", end)
        ends.append((early, end))
    for weight in () if args.skip_wrong else args.lambdas[1:]:
        row(f"wrong sign, lambda {weight:g}", scores(args, misled(args, loaded, weight)))
    return 0 if shown(scores(args, start), ends) else 1


def scores_of_built_in(args: argparse.Namespace) -> dict[str, float]:
    """Return the scores of the model everything started from."""
    path = args.out / "built_in.safetensors"
    if not path.exists():
        save_model(load_model("compact", "cpu"), path)
    return scores(args, path)


def shown(start: dict[str, float], ends: list[tuple[dict[str, float], dict[str, float]]]) -> bool:
    """Whether the start was collapsed and every fine-tuning brought cells."""
    good = start["magnitude_inside"] < WORDS["start"]
    for early, end in ends:
        good &= early["magnitude_inside"] > WORDS["epoch 5"]
        good &= end["magnitude_inside"] > WORDS["end"] and end["aji"] > WORDS["AJI"]
    return good


if __name__ == "__main__":
    raise SystemExit(main())
