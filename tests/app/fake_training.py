"""A training process without a network: ``fake_training.py --run RUN [--resume] [--now]``.

It obeys the run folder's commands and writes the same files as the real one. How long it
takes and how it ends, ``$FAKE`` says as JSON: "step_s", "steps", "end" ("done", "raise",
"die", "silent"), "die_at", and "hold_at": the step at which it waits for a command.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from napari_hovernet.app.runs import Start, live
from napari_hovernet.core.params import LOSS_TERMS
from napari_hovernet.core.training.files import EventWriter, RunFolder
from napari_hovernet.errors import InputError

SHARES = dict.fromkeys(LOSS_TERMS, 1 / len(LOSS_TERMS))


def status(folder: RunFolder, state: str) -> None:
    before = folder.read_status()
    folder.write_status({**before, "state": state, "pid": os.getpid(), "updated": time.time()})


def step_fields(step: int, epoch: int, left: int) -> dict[str, object]:
    total = 2.0 / step**0.5
    terms = {name: total * share for name, share in {**SHARES, "hv": 0.6}.items()}
    found = {"epoch": epoch, "step": step, "lr": 1e-4, "total": total, "terms": terms}
    found |= {"shares": SHARES, "magnitude": min(0.02 * step, 0.66), "true_magnitude": 0.67}
    return found | {"images_per_s": 12.5, "eta_s": 0.1 * left}


def val_fields(epoch: int, magnitude: float) -> dict[str, float]:
    same = {"true_magnitude": 0.67, "hv_zero_mse": 0.25, "dice": 0.8, "cc_aji": 0.25}
    same |= {"all_foreground_dice": 0.5, "oracle_aji": 0.95, "magnitude": magnitude}
    risen = {"cosine": min(0.15 * epoch, 0.9), "aji": 0.1 * epoch, "pq": 0.08 * epoch}
    return same | risen | {"loss": 2.0 / (epoch + 1), "hv_mse": 0.3 / (epoch + 1)}


def go_on(folder: RunFolder) -> bool:
    """Stay while paused; False once the run is asked to stop."""
    while folder.read_command() == "pause":
        if folder.read_status().get("state") != "paused":
            status(folder, "paused")
        time.sleep(0.01)
    if folder.read_status().get("state") != "running":
        status(folder, "running")
    return folder.read_command() != "stop"


def train(folder: RunFolder, resume: bool) -> int:
    how = json.loads(os.environ.get("FAKE", "{}"))
    epochs, steps = folder.read_config().optim.epochs, how.get("steps", 4)
    first = 1
    if resume:
        first = json.loads(folder.resume_file.read_text())["epoch"] + 1
    status(folder, "running")
    with EventWriter(folder.events) as events:
        events.write("start", run=folder.name, pid=os.getpid(), device="cpu", epochs=epochs,
                     steps_per_epoch=steps, batch=2, parameters=1000, train_images=3,
                     val_images=1, notes=["a note"], resumed_epoch=first - 1)  # fmt: skip
        if first == 1:
            events.write("epoch", epoch=0, train={}, val=val_fields(0, 0.02), best=True,
                         seconds=0.1, remark="")  # fmt: skip
        for epoch in range(first, epochs + 1):
            if not one_epoch(folder, events, (epoch, steps, epochs), how):
                status(folder, "stopped")
                events.write("end", state="stopped", message="", seconds=1.0)
                return 0
        events.write("end", state="done", message="", seconds=1.5)
        if how.get("end") != "silent":
            status(folder, "done")
        return 0


def one_epoch(folder, events, place, how):
    epoch, steps, epochs = place
    for i in range(steps):
        step = (epoch - 1) * steps + i + 1
        if step == how.get("die_at"):
            end(str(how["end"]))
        time.sleep(float(how.get("step_s", 0.0)))
        events.write("step", **step_fields(step, epoch, epochs * steps - step))
        longest = time.monotonic() + 60
        while step == how.get("hold_at") and not folder.read_command():
            time.sleep(0.01)
            if time.monotonic() > longest:
                break
        if not go_on(folder):
            return False
    events.write("heads", epoch=epoch, step=epoch * steps,
                 grad_share={"np": 0.5, "hv": 0.4, "nt": 0.1})  # fmt: skip
    folder.resume_file.parent.mkdir(exist_ok=True)
    folder.resume_file.write_text(json.dumps({"epoch": epoch}))
    events.write("checkpoint", epoch=epoch, path="last.safetensors", kind="last")
    events.write("epoch", epoch=epoch, train={"total": 2.0 / epoch, "np": 0.5 / epoch},
                 val=val_fields(epoch, 0.02 * epoch * steps), best=True, seconds=0.5,
                 remark="go on" if epoch == 5 else "")  # fmt: skip
    return True


def end(how: str) -> None:
    if how == "raise":
        raise ValueError("the network is not there")
    if how == "refuse":
        raise InputError("The labels have no nuclei.")
    if how == "memory":
        raise MemoryError
    print("about to go", flush=True)  # noqa: T201 - ends in the log
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    life = Start("--resume" in sys.argv, queued="--now" not in sys.argv, wait_s=0.03)
    sys.exit(live(RunFolder(Path(sys.argv[sys.argv.index("--run") + 1])), train, life))
