"""``napari-hovernet runs``, ``attach`` and ``stop``: training runs from outside."""

from __future__ import annotations

import json
import math
import time
from argparse import Namespace
from typing import Any

from ..app.run_info import RunInfo
from ..app.run_store import RunStore
from ..app.run_view import RunView
from ..app.run_watch import RunWatch
from ..core.training.files import RunFolder
from ..errors import InputError
from .console import NOTHING, complain, number, say, table
from .follow import Follower, say_end

HEAD = ("run", "state", "epoch", "AJI", "magnitude", "started", "")
WHEN = "%Y-%m-%d %H:%M"
MESSAGE = 70
"""Characters of a message that the list shows."""
FAILURES = ("failed", "killed", "broken")


def run(options: Namespace) -> int:
    """List, attach or stop."""
    actions = {"list": list_runs, "attach": attach, "stop": stop}
    return actions[options.action](RunStore(options.runs_dir), options)


def list_runs(store: RunStore, options: Namespace) -> int:
    """Print all runs, or remove one."""
    if options.remove is not None:
        folder = store.find(options.remove)
        store.remove(folder)
        complain(f"removed: {folder.path}")
        return 0
    runs = store.list()
    if options.json:
        say(json.dumps([as_json(info) for info in runs], indent=2, allow_nan=False))
    elif runs:
        say(table([HEAD, *map(_row, runs)]))
        queue = store.queue()
        if len(queue) > 1:
            complain(f"in turn: {', '.join(queue)}")
    else:
        complain(f"no runs in {store.folder}")
    return 0


def as_json(info: RunInfo) -> dict[str, Any]:
    """Return a run as JSON-able values; what is not known is null."""
    return {
        "name": info.name,
        "folder": str(info.folder.path),
        "state": info.state,
        "message": info.message,
        "pid": info.pid,
        "created": info.created,
        "updated": info.updated,
        "epoch": info.epoch,
        "epochs": info.n_epochs,
        "val": {name: v if math.isfinite(v) else None for name, v in info.val},
        "can_resume": info.can_resume,
    }


def _row(info: RunInfo) -> list[str]:
    began = time.strftime(WHEN, time.localtime(info.created)) if info.created else NOTHING
    message = info.message
    return [
        info.name,
        info.state,
        f"{info.epoch}/{info.n_epochs}" if info.n_epochs else NOTHING,
        number(info.score("aji")),
        number(info.score("magnitude")),
        began,
        message if len(message) <= MESSAGE else f"{message[: MESSAGE - 4]} ...",
    ]


def attach(store: RunStore, options: Namespace) -> int:
    """Show a run until it ends or Ctrl-C; 1 if it failed."""
    folder = store.find(options.run) if options.run else _latest(store)
    watch = RunWatch(folder)

    def plot(view: RunView) -> None:
        if options.plot is not None:
            _plot(view, options)

    follower = Follower(watch, quiet=options.quiet, on_epoch=plot)
    try:
        view = follower.once() if options.once else follower.until_the_end()
    except KeyboardInterrupt:
        complain(f"left; {folder.name} goes on by itself")
        return 0
    plot(view)
    if options.report:
        _report(folder)
    if not view.active:
        say_end(view, folder.log, store.info(folder).can_resume)
    elif options.once and not options.quiet:
        complain(f"{folder.name} is {view.state}")
    return 1 if view.state in FAILURES else 0


def _plot(view: RunView, options: Namespace) -> None:
    from ..app.figures import save_plot  # noqa: PLC0415 - on first use

    save_plot(view, options.plot)


def _report(folder: RunFolder) -> None:
    from ..app.reports import write_report  # noqa: PLC0415 - on first use

    complain(f"written: {write_report(folder)}")


def _latest(store: RunStore) -> RunFolder:
    runs = store.list()
    if not runs:
        raise InputError(f"There are no runs in {store.folder}.")
    active = [info for info in runs if info.active]
    return (active or list(runs))[0].folder


def stop(store: RunStore, options: Namespace) -> int:
    """Stop, pause or kill a run."""
    folder = store.find(options.run)
    if options.kill:
        store.kill(folder)
        complain(f"{folder.name} is {store.info(folder).state}")
    elif options.pause:
        store.pause(folder)
        complain(f"{folder.name} pauses; go on with: napari-hovernet train --resume {folder.name}")
    else:
        store.stop(folder)
        complain(f"{folder.name} ends after its step, with a checkpoint")
    return 0
