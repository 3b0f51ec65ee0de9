"""One training step taken apart, and what a training process takes.

    python benchmarks/training_step.py --batch 8 --crop 256

Prints the time of each part of a step (the middle of several), the three largest costs, the
three operations of torch that take longest, the same step with the other memory layout, and,
of a real process, the time from its start to the first logged step and its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.params import DataParams, OptimParams, TrainConfig
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.training.check import needs_of
from napari_hovernet.core.training.crops import Steps, Stream, loader
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.core.training.loop import crops_of
from napari_hovernet.core.training.module import TrainingModule, start_of

MOST_GB, MOST_SECONDS = 3.0, 15.0
"""What a process may take at batch 8 of 256 x 256 px: memory, and time to the first step."""
GIGA = 1e9
LARGEST = 3


def data(folder: Path) -> None:
    """Write generated tissue as pairs: six to train on, two to validate."""
    for number in range(8):
        made = tissue(shape=(512, 512), seed=number)
        about = PairAbout(source=str(number), split="val" if number > 5 else "train")
        save_training_pair(folder, f"t{number}", made.image, made.labels, about)


class Parts:
    """A training step whose parts are timed one by one.

    Parameters
    ----------
    config : TrainConfig
    layout : torch.memory_format
        Of the network's weights.
    """

    def __init__(self, config: TrainConfig, layout: torch.memory_format) -> None:
        found = load_samples(config.data, needs=needs_of(config.start))
        start = start_of(config, found)
        start.network.to(memory_format=layout)
        self.module = TrainingModule(start, HoverLoss.from_params(config.loss), config.optim)
        self.module.freezer.apply(1)
        self.optimizer = self.module.configure_optimizers()
        crops = crops_of(config, found, start)
        batches = loader(
            Stream(crops, 1),
            Steps(0, len(crops) // config.optim.batch, config.optim.batch),
            0,
            False,
        )
        self.batches = iter(batches)
        self.clip = config.optim.clip
        self.forward_seconds = 0.0
        self.module.network.register_forward_pre_hook(self._before)
        self.module.network.register_forward_hook(self._after)

    def step(self) -> dict[str, float]:
        """Run one step; return the seconds of its parts."""
        seconds: dict[str, float] = {}
        batch = self._timed(seconds, "data", lambda: next(self.batches))
        loss = self._timed(seconds, "loss", lambda: self.module.training_step(batch, 0))
        seconds["forward"] = self.forward_seconds
        seconds["loss"] -= self.forward_seconds
        self._timed(seconds, "backward", loss.backward)
        self._timed(seconds, "optimiser", self._update)
        return seconds

    def _update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()

    @staticmethod
    def _timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - began
        return result

    def _before(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def _after(self, *_: Any) -> None:
        self.forward_seconds = time.perf_counter() - self._began


def middle(parts: Parts, repeats: int) -> dict[str, float]:
    """Median seconds of each part, after one step that does not count."""
    parts.step()
    found = [parts.step() for _ in range(repeats)]
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def operations(parts: Parts) -> list[tuple[str, float]]:
    """Share of a step's time in the operations that take longest."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        parts.step()
    rows = sorted(seen.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return [(row.key, row.self_cpu_time_total / total) for row in rows[:LARGEST]]


def process(config: TrainConfig, place: Path) -> tuple[float, float]:
    """Return the seconds to the first step, and the peak memory in bytes, of a real process."""
    folder = RunFolder(place / "run")
    folder.write_config(config)
    command = [sys.executable, "-m", "napari_hovernet", "train", "--run", str(folder.path), "--now"]
    began = time.time()
    with open(place / "log", "wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    _, status, usage = os.wait4(running.pid, 0)
    if status:
        raise RuntimeError((place / "log").read_text()[-2000:])
    events = [json.loads(line) for line in folder.events.read_bytes().splitlines()]
    first = next(event["t"] for event in events if event["event"] == "step")
    return first - began, usage.ru_maxrss * 1024


def main() -> int:
    """Print the figures; exit 1 if the process takes more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", default="compact")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        data(place / "data")
        config = TrainConfig(
            start=options.start,
            device="cpu",
            data=DataParams(sources=(str(place / "data"),), crop=options.crop),
            optim=OptimParams(epochs=1, batch=options.batch, steps_per_epoch=20),
        )
        return show(config, place, options.repeats)


def show(config: TrainConfig, place: Path, repeats: int) -> int:
    """Print everything about one configuration."""
    parts = Parts(config, torch.channels_last)
    seconds = middle(parts, repeats)
    total = sum(seconds.values())
    print(f"{config.start}, batch {config.optim.batch} of {config.data.crop}² px: {total:.2f} s")
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:10} {value:6.3f} s {value / total:6.1%}")
    largest = sorted(seconds, key=lambda name: -seconds[name])[:LARGEST]
    print(f"three largest costs: {', '.join(largest)}")
    print("operations: " + ", ".join(f"{name} {share:.0%}" for name, share in operations(parts)))
    plain = sum(middle(Parts(config, torch.contiguous_format), repeats).values())
    print(f"weights contiguous instead of channels last: {plain:.2f} s ({plain / total:.2f}x)")
    short = replace(config, optim=replace(config.optim, steps_per_epoch=4))
    first, peak = process(short, place)
    print(f"process: {first:.1f} s to its first step, {peak / GIGA:.2f} GB at most")
    return int(first > MOST_SECONDS or peak > MOST_GB * GIGA)


if __name__ == "__main__":
    raise SystemExit(main())
