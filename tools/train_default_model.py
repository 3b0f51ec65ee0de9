"""Train the default model ``compact`` on a folder with ``index.csv``.

    python tools/train_default_model.py --data ../shared/data --out runs/default

Seeded: item i of the stream of crops depends on the seed and i alone, so an
interrupted run that is resumed sees the same crops. The learning rate warms up, stays,
and falls to zero over the last part ("--decay"), so a run can be prolonged before it
falls. ``RUN/step_*.pt`` hold averaged weights; tools/pick_default_model.py scores them
on the validation images and writes the winner.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from default_model.data import Crops, load_split
from default_model.loss import AGAIN, EARLY, LATE, LossWeights, loss_terms, weighted, weights_at
from torch.utils.data import DataLoader, Subset

from napari_hovernet.core.networks.compact import CompactUNet

SHARES = {"monuseg_train_core": 0.62, "dsb18_purple_bg": 0.25, "dsb18_white_bg": 0.13}
"""Share of the crops that each group of images gives."""


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--warmup", type=int, default=150, help="steps")
    parser.add_argument("--decay", type=float, default=0.35, help="share of the steps, at the end")
    parser.add_argument("--again", type=int, help="step of a warm restart at half the rate")
    parser.add_argument("--again-steps", type=int, default=0, help="steps from there on")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--late", type=int, default=2200, help="step of the LATE settings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def learning_rate(step: int, args: argparse.Namespace) -> float:
    """Warm up, hold, then fall along a half cosine."""
    fall = int(args.steps * (1 - args.decay))
    if args.again is not None and step >= args.again:
        done = (step - args.again) / args.again_steps
        return float(args.lr * 0.25 * (1 + math.cos(math.pi * done)))
    if step < args.warmup:
        return float(args.lr * (step + 1) / args.warmup)
    if step < fall:
        return float(args.lr)
    return float(args.lr * 0.5 * (1 + math.cos(math.pi * (step - fall) / (args.steps - fall))))


def last_step(args: argparse.Namespace) -> int:
    """Return how many steps there are in all, the warm restart's included."""
    return int(args.steps if args.again is None else args.again + args.again_steps)


@torch.no_grad()
def average(ema: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    """Move the averaged weights towards the current ones; copy counters."""
    for slow, fast in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        if slow.dtype.is_floating_point:
            slow.lerp_(fast.to(slow.dtype), 1 - keep)
        else:
            slow.copy_(fast)


def save(path: Path, value: object) -> None:
    """Write by temporary name and rename."""
    temporary = path.with_suffix(".tmp")
    torch.save(value, temporary)
    os.replace(temporary, path)


def batches(args: argparse.Namespace, start: int) -> Iterator[list[torch.Tensor]]:
    """Yield the crops of each step from ``start`` on."""
    samples = load_split(args.data, "train")
    late, length = args.late * args.batch, last_step(args) * args.batch
    crops = Crops(samples, SHARES, length, late, args.seed)
    rest = Subset(crops, range(start * args.batch, len(crops)))
    # spawned: a fork after OpenCV and OpenMP have started threads can hang
    context = "spawn" if args.workers else None
    yield from DataLoader(
        rest,
        args.batch,
        num_workers=args.workers,
        drop_last=True,
        multiprocessing_context=context,
    )


def train(args: argparse.Namespace) -> None:
    """Run the training loop."""
    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    model = CompactUNet().to(device, memory_format=torch.channels_last)
    ema = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=args.weight_decay)
    args.out.mkdir(parents=True, exist_ok=True)
    start, state_file = 0, args.out / "state.pt"
    if args.resume and state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    record = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    record["shares"], record["loss"] = SHARES, [asdict(w) for w in (EARLY, LATE, AGAIN)]
    (args.out / "config.json").write_text(json.dumps(record, indent=1))
    began, sums = time.time(), {}
    for step, batch in enumerate(batches(args, start), start):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        weights = weights_at(step, args.late, args.again)
        terms = update(model, optimizer, batch, weights)
        average(ema, model, min(args.ema, (1 + step) / (10 + step)))
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value / 50
        if (step + 1) % 50 == 0:
            line = {"step": step + 1, "seconds": round(time.time() - began), **sums}
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            sums = {}
        if (step + 1) % args.save_every == 0 or step + 1 == last_step(args):
            everything = {
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            save(state_file, everything)
            save(args.out / f"step_{step + 1:05d}.pt", ema.state_dict())


def update(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: list[torch.Tensor],
    weights: LossWeights,
) -> dict[str, float]:
    """Take one step in bfloat16 autocast; return the terms."""
    device = next(model.parameters()).device
    image, np_true, hv_true, real = (part.to(device) for part in batch)
    model.train()
    with torch.autocast(device.type, torch.bfloat16):
        out = model(image.float().contiguous(memory_format=torch.channels_last))
    terms = loss_terms(out, np_true, hv_true, real)
    loss = weighted(terms, weights)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return {name: float(value.detach()) for name, value in terms.items()}


if __name__ == "__main__":
    train(arguments())
