"""Crops per second of the data pipeline against a full training step of ``compact``.

    python benchmarks/training_data.py
    python benchmarks/training_data.py --data FOLDER --profile

Full augmentation, crops of 256 pixels, one process. Wanted: the pipeline alone is 5 times
as fast as the steps, so that loading never keeps the network waiting. The clock counts what
else runs on the machine, processor time does not. Without ``--data`` the images are generated.
``--profile`` names the three largest costs of a step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.data.samples import Sample
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.params import AugmentParams, DataParams
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.training.crops import CropDataset

WANTED = 5.0
"""Times faster that the pipeline shall be."""
GENERATED = 4
"""Images, 1000 pixels wide, where no data are named."""
CLIP = 5.0


def samples(data: str | None) -> tuple[Sample, ...]:
    """Images to cut crops from."""
    if data is not None:
        return load_samples(DataParams(sources=(data,))).train
    made = [tissue((1000, 1000), seed=seed) for seed in range(GENERATED)]
    return tuple(Sample(f"t{i}", image=t.image, labels=t.labels) for i, t in enumerate(made))


def rates(work: Callable[[int], object], n: int, images: int = 1) -> tuple[float, float]:
    """Images per second and per second of processor time, after a warm-up that compiles."""
    work(0)
    wall, cpu = time.perf_counter(), time.process_time()
    for i in range(n):
        work(i)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return n * images / wall, n * images / cpu


class Stepper:
    """One network, its loss and optimiser, and a batch that is used again and again."""

    def __init__(self, crops: CropDataset, batch: int) -> None:
        items = [crops[i] for i in range(batch)]
        self.batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        self.network, self.loss = CompactUNet().train(), HoverLoss()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), 1e-4)

    def step(self, _number: int = 0) -> None:
        """Forward, loss, backward, clipped, weights changed."""
        self.optimiser.zero_grad(set_to_none=True)
        out = self.network(self.batch["image"].float())
        total, _ = self.loss(
            *(out["np"], out["hv"], None),
            *(self.batch["np"], self.batch["hv"], None),
            self.batch["valid"],
        )
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()

    def costs(self) -> list[tuple[str, float]]:
        """Operations of a step by their share of its time, largest first."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            self.step()
        rows = [(e.key, e.self_cpu_time_total) for e in profile.key_averages()]
        total = sum(t for _, t in rows)
        return sorted(((name, t / total) for name, t in rows), key=lambda row: -row[1])


def memory_gb() -> float:
    """Most memory that this process has taken so far, GB; NaN on Windows."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of images with labels, or index.csv")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--crops", type=int, default=400)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    crops = CropDataset(samples(args.data), DataParams(crop=args.crop), AugmentParams())
    pipeline = rates(lambda i: crops[i % len(crops)], args.crops)
    stepper = Stepper(crops, args.batch)
    steps = rates(stepper.step, args.steps, args.batch)
    print(f"{torch.get_num_threads()} threads, batch {args.batch} of {args.crop} x {args.crop}")
    print(f"{'images per second':<20}{'by the clock':>14}{'of processor':>14}")
    for name, (wall, cpu) in (("pipeline", pipeline), ("training step", steps)):
        print(f"{name:<20}{wall:>14.1f}{cpu:>14.1f}")
    by_clock, by_cpu = (a / b for a, b in zip(pipeline, steps, strict=True))
    print(f"{'ratio':<20}{by_clock:>13.0f}x{by_cpu:>13.0f}x   (wanted: {WANTED:g}x)")
    print(f"memory        {memory_gb():8.2f} GB at most")
    for name, share in stepper.costs()[:3] if args.profile else ():
        print(f"  {share:6.1%}  {name}")


if __name__ == "__main__":
    main()
