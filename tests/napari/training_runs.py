"""Recorded training runs and a store that starts nothing, for tests of the viewer."""

import time

import numpy as np

from napari_hovernet.app.runs import RunStore
from napari_hovernet.core.params import DataParams, OptimParams, TrainConfig
from napari_hovernet.core.training.files import EventWriter

from ..app import fake_training

STEPS = 10
SHAPE = (40, 50)


class Recorder:
    """Writes what a training process would."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, event, /, **fields):
        with EventWriter(self.folder.events) as writer:
            writer.write(event, **fields)

    def start(self, epochs=5):
        self.write("start", run=self.folder.name, pid=1, device="cpu: CPU", epochs=epochs,
                          steps_per_epoch=STEPS, resumed_epoch=0, notes=[], config={})  # fmt: skip
        return self

    def step(self, step):
        self.write("step", **fake_training.step_fields(step, (step - 1) // STEPS + 1, 900))
        self.write("heads", epoch=1, step=step, grad_share={"np": 0.4, "hv": 0.6, "nt": 0.0})

    def epoch(self, epoch, remark=""):
        if epoch:
            for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
                self.step(step)
        val = fake_training.val_fields(epoch, 0.05 + 0.1 * epoch)
        self.write("epoch", epoch=epoch, train={"total": 3.0}, val=val, best=True, seconds=1.0,
                   remark=remark)  # fmt: skip
        self.preview(epoch)

    def preview(self, epoch):
        path = self.folder.preview_of(epoch)
        path.parent.mkdir(exist_ok=True)
        labels = np.zeros(SHAPE, np.int32)
        labels[5:15, 5 : 15 + epoch] = epoch + 1
        image = np.zeros((*SHAPE, 3), np.uint8)
        np.savez(path.parent / "image.npz", image=image, truth=labels)
        hv = np.full((2, *SHAPE), 0.3, np.float16)
        np.savez(path, np=np.full(SHAPE, 0.5, np.float16), hv=hv, labels=labels)
        self.write("preview", epoch=epoch, path=f"preview/{path.name}")

    def state(self, state, message=""):
        now = time.time()
        self.folder.write_status(
            {"state": state, "pid": 1, "started": now, "updated": now, "message": message}
        )

    def end(self, state, message="", error=None):
        if error is not None:
            self.write("error", message=error, term="hv_magnitude", kind="nan")
        self.write("end", state=state, message=message, seconds=42.0)
        self.state(state, message)


def asked_for(what):
    return lambda self, run, start=None: self.asked.append((what, self.find(run).name))


class FakeStore(RunStore):
    """A store whose runs have no process; what it is asked for is written down."""

    def __init__(self, folder):
        super().__init__(folder)
        self.asked = []

    def start(self, run, start=None):
        self.asked.append(("start", self.find(run).name))
        Recorder(self.find(run)).state("queued")

    pause, resume, stop = map(asked_for, ("pause", "resume", "stop"))

    def kill(self, run):
        self.asked.append(("kill", self.find(run).name))
        Recorder(self.find(run)).state("stopped", "Killed.")

    def record(self, name="run", upto=3, epochs=5, state="done", **end):
        """Make a run that has come so far."""
        data, optim = DataParams(sources=(str(self.folder),)), OptimParams(epochs=epochs)
        folder = self.create(TrainConfig(name=name, data=data, optim=optim, save_epochs=()))
        recorder = Recorder(folder).start(epochs)
        for epoch in range(upto + 1):
            recorder.epoch(epoch, "go on" if epoch == 3 else "")
        if state in ("done", "failed", "stopped"):
            recorder.end(state, **end)
        else:
            recorder.state(state)
        return recorder
