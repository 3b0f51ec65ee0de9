"""How long a training will take and how much memory, before it starts; about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.params import SCRATCH, TrainConfig
from ..core.types import ModelInfo
from .run_info import RunInfo
from .run_tail import last_event
from .run_view import number

PROCESS_BYTES = 0.8e9
"""Python with torch and Lightning."""
PARAMETER_BYTES = 16
"""Weight, gradient and the optimiser's two moments, float32."""
FROZEN_BYTES = 4
PIXEL_BYTES = {"compact": 2800, "hovernet": 36_000}
"""What is kept for the way back, per pixel of the batch, float32: measured with crops of 256 px."""
PIXEL_SECONDS = {"compact": 6e-6, "hovernet": 120e-6}
"""Forward and back on two CPU cores, good to a factor of two; a run that was timed counts more."""
PARAMETERS = {"compact": 2_077_668, "hovernet": 37_650_000}
"""Of untrained networks, whose file cannot be looked at."""
GIGA = 1e9


@dataclass(frozen=True)
class Estimate:
    """What a training will take."""

    memory: float  # Bytes of the training process (on a GPU: most of them there)
    seconds_per_step: float  # NaN if not known
    steps: int = 0  # In all, validation left out
    from_run: str = ""  # Run whose measured speed was taken, "" = a rough figure for two CPU cores

    @property
    def words(self) -> str:
        """One line, "" if nothing is known."""
        known = []
        if not math.isnan(self.memory):
            known.append(f"{self.memory / GIGA:.1f} GB")
        if not math.isnan(self.seconds_per_step):
            source = f"as run {self.from_run} went" if self.from_run else "rough, CPU"
            known.append(f"{self.seconds_per_step:.2g} s per step ({source})")
        if not known:
            return ""
        total = self.seconds_per_step * self.steps
        rest = ""
        if self.steps and not math.isnan(total):
            rest = f": {_minutes(total)} for {self.steps:,} steps, without validation"
        return f"About {' and '.join(known)}{rest}."


def estimate(config: TrainConfig, info: ModelInfo | None, runs: Iterable[RunInfo]) -> Estimate:
    """Estimate from the size of the network and of a batch, and from the speed of former runs."""
    name = info.architecture if info else config.start.removeprefix(SCRATCH)
    parameters = info.parameters if info else PARAMETERS.get(name, 0)
    optim = config.optim
    pixels = optim.batch * config.data.crop**2
    weights = parameters * (FROZEN_BYTES if optim.freeze == "all but heads" else PARAMETER_BYTES)
    per_pixel = PIXEL_BYTES.get(name, math.nan)
    rate, run = _rate(config, runs)
    seconds = pixels / rate if rate else pixels * PIXEL_SECONDS.get(name, math.nan)
    steps = (optim.steps_per_epoch or 0) * optim.epochs
    return Estimate(PROCESS_BYTES + weights + per_pixel * pixels, seconds, steps, run)


def _rate(config: TrainConfig, runs: Iterable[RunInfo]) -> tuple[float, str]:
    """Return pixels per second of a former run like this one, and its name; (0, "") if none."""
    for run in runs:
        other = run.config
        if other is None or (other.start, other.device) != (config.start, config.device):
            continue
        speed = number((last_event(run.folder.events, "step") or {}).get("images_per_s"))
        if speed > 0:
            return speed * other.data.crop**2, run.name
    return 0.0, ""


def _minutes(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
