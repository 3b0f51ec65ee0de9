"""``train``, ``runs``, ``attach``, ``stop`` and ``check-loss``: training runs and their loss."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..app.processes import elsewhere, read_mark, wait_until_gone
from ..app.runs import (
    FAILED,
    OK,
    RunInfo,
    RunStore,
    Start,
    live,
    say_what_is_missing,
    training_command,
)
from ..app.training import config_from, default_name, look_at_data
from ..app.watch import FAILURES, EpochRow, RunView, RunWatch, duration, process_file
from ..core.choices import options as options_of
from ..core.params import TrainConfig
from ..core.training.files import RunFolder, is_first
from ..errors import InputError, UserError
from .console import NOTHING, PROGRAM, complain, number, say, table

INTERRUPTED = 130
REPORT_S = 20.0
"""How long the report of a finished run is waited for; it takes about a second."""
STAMP, WHEN = "%m%d-%H%M", "%Y-%m-%d %H:%M"
STATUS = {"done": OK, "stopped": INTERRUPTED}
"""Exit status by the state in which a run ends; any other is a failure."""
LOOK_S = 0.2
"""Time between two looks."""
WIDTH = 110
"""Columns of the line that is rewritten."""
MESSAGE = 70
"""Characters of a message that the list shows."""
HEAD = ("run", "state", "epoch", "AJI", "magnitude", "started", "")
COLUMNS = (
    ("epoch", 5, "", 0), ("train", 7, "", 0), ("val", 7, "loss", 3),
    ("magnitude", 9, "magnitude", 3), ("true", 5, "true_magnitude", 2), ("cosine", 6, "cosine", 2),
    ("AJI", 6, "aji", 3), ("CC", 6, "cc_aji", 3), ("oracle", 6, "oracle_aji", 3),
    ("PQ", 6, "pq", 3), ("Dice", 6, "dice", 3), ("[all]", 7, "all_foreground_dice", 3),
    ("time", 7, "", 0),
)  # fmt: skip
"""Heads, widths, scores and digits of the table of epochs; what follows is the remark."""
LEGEND = (
    "magnitude: HV inside true nuclei, beside that of the truth. cosine: 1 = HV points right, "
    "0 = nothing learnt. CC: AJI of connected components. oracle: AJI of the true maps. "
    "[all]: Dice of calling every pixel nucleus."
)
MAX_SEED = 2**32


# train


def train(options: Namespace) -> int:
    """Train; 0 if it is done, 1 if it failed, 130 if it was stopped."""
    if options.run is not None:
        return be_the_process(RunFolder(Path(os.path.abspath(options.run))), options)
    store = RunStore(options.runs_dir)
    start = Start(queued=not options.now)
    if options.resume is not None:
        folder = _again(store, start, options)
    else:
        config = config_from(vars(options), options.loss_preset or "")
        if options.name is None:
            named = {**vars(options), "name": default_name(config, time.strftime(STAMP))}
            config = config_from(named, options.loss_preset or "")
        say_what_is_missing(config)
        if not options.no_check:
            check(config, quiet=options.quiet)
        folder = store.create(config, exact=options.name is not None)
        if options.prepare:
            say(shlex.join(training_command(folder, Start(queued=False))))
            return OK
        store.start(folder, start)
    if options.detach:
        say(folder.name)
        if not options.quiet:
            where = ["--runs-dir", str(options.runs_dir)] if options.runs_dir is not None else []
            line = shlex.join([PROGRAM, "attach", folder.name, *where])
            complain(f"{folder.name} runs in the background. Watch it with: {line}")
        return OK
    return _follow(store, folder, options)


def check(config: TrainConfig, *, quiet: bool) -> None:
    """Look at the data and say what is found."""
    report = look_at_data(config)
    if not quiet:
        complain(f"data: {report.summary}")
        for text in (*report.notes, *report.words("warn")):
            complain(f"note: {text}")
    if report.refused:
        raise InputError(f"Not fit for training: {' '.join(report.words('fault'))}")


def be_the_process(folder: RunFolder, options: Namespace) -> int:
    """Be the process of a run."""
    status = live(folder, _train, Start(options.resume is not None, not options.now))
    if is_first() and folder.events.exists():
        try:
            _report(folder)
        except Exception as error:  # the training is done and stays so
            complain(f"the report could not be written: {type(error).__name__}: {error}")
    return status


def _train(folder: RunFolder, resume: bool) -> int:
    from ..core.training.loop import run_training  # noqa: PLC0415 - loads Lightning

    return int(run_training(folder, resume=resume))


def _report(folder: RunFolder) -> Path:
    from ..app.reports import write_report  # noqa: PLC0415 - on first use

    return write_report(folder)


def _again(store: RunStore, start: Start, options: Namespace) -> RunFolder:
    """Let a run go on."""
    if not options.resume:
        raise InputError("--resume needs the name of a run; `napari-hovernet runs` lists them.")
    names = [known.option for known in options_of(TrainConfig).values()]
    given = [f"--{name}" for name in (*names, "data", "val-data", "start", "name", "loss-preset")
             if getattr(options, name.replace("-", "_")) is not None]  # fmt: skip
    if given:
        raise InputError(
            f"A run goes on as it began; leave out {', '.join(given)}, or start a new run from "
            "its last model: --start RUN/last.safetensors."
        )
    folder = store.find(options.resume)
    store.resume(folder, start)
    return folder


def _follow(store: RunStore, folder: RunFolder, options: Namespace) -> int:
    """Follow a run that we started: Ctrl-C stops it, a second one kills it."""
    follower = Follower(RunWatch(folder), quiet=options.quiet)
    asked = False
    while True:
        try:
            view = follower.until_the_end()
            break
        except KeyboardInterrupt:
            _interrupt(store, folder, again=asked)
            asked = True
        except SystemExit:  # asked to end ourselves: so is the run
            _interrupt(store, folder, again=False)
            raise
    mark = read_mark(process_file(folder))
    if mark is not None and not elsewhere(mark):  # after its last event it writes its report
        wait_until_gone(mark, folder.path, REPORT_S)
    if not options.quiet or view.state not in STATUS:
        say_end(view, folder.log, store.info(folder).can_resume)
    if view.state == "done" and not options.quiet:
        results = (folder.best, folder.last, folder.report)
        complain(f"written: {', '.join(str(path) for path in results if path.exists())}")
    return STATUS.get(view.state, FAILED)


def _interrupt(store: RunStore, folder: RunFolder, *, again: bool) -> None:
    try:
        if again:
            store.kill(folder)
        else:
            store.stop(folder)
            complain("stopping after this step, with a checkpoint; Ctrl-C again kills")
    except UserError as error:  # it ended by itself in the meantime
        complain(str(error))


# runs, attach, stop


def list_runs(options: Namespace) -> int:
    """Print all runs, or remove one."""
    store = RunStore(options.runs_dir)
    if options.remove is not None:
        folder = store.find(options.remove)
        store.remove(folder)
        complain(f"removed: {folder.path}")
        return OK
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
    return OK


def as_json(info: RunInfo) -> dict[str, Any]:
    """Return a run as JSON-able values; what is not known is null."""
    names = ("name", "state", "message", "pid", "created", "updated", "epoch", "can_resume")
    return {name: getattr(info, name) for name in names} | {
        "folder": str(info.folder.path),
        "epochs": info.n_epochs,
        "val": {name: v if math.isfinite(v) else None for name, v in info.val},
    }


def _row(info: RunInfo) -> list[str]:
    message = info.message
    return [
        info.name,
        info.state,
        f"{info.epoch}/{info.n_epochs}" if info.n_epochs else NOTHING,
        number(info.score("aji")),
        number(info.score("magnitude")),
        time.strftime(WHEN, time.localtime(info.created)) if info.created else NOTHING,
        message if len(message) <= MESSAGE else f"{message[: MESSAGE - 4]} ...",
    ]


def attach(options: Namespace) -> int:
    """Show a run until it ends or Ctrl-C; 1 if it failed."""
    store = RunStore(options.runs_dir)
    if options.run:
        folder = store.find(options.run)
    else:
        runs = store.list()
        if not runs:
            raise InputError(f"There are no runs in {store.folder}.")
        folder = next((info for info in runs if info.active), runs[0]).folder

    def plot(view: RunView) -> None:
        if options.plot is not None:
            from ..app.reports import save_plot  # noqa: PLC0415 - on first use

            save_plot(view, options.plot)

    follower = Follower(RunWatch(folder), quiet=options.quiet, on_epoch=plot)
    try:
        view = follower.once() if options.once else follower.until_the_end()
    except KeyboardInterrupt:
        complain(f"left; {folder.name} goes on by itself")
        return OK
    plot(view)
    if options.report:
        complain(f"written: {_report(folder)}")
    if not view.active:
        say_end(view, folder.log, store.info(folder).can_resume)
    elif options.once and not options.quiet:
        complain(f"{folder.name} is {view.state}")
    return 1 if view.state in FAILURES else OK


def stop(options: Namespace) -> int:
    """Stop, pause or kill a run."""
    store = RunStore(options.runs_dir)
    folder = store.find(options.run)
    if options.kill:
        store.kill(folder)
        complain(f"{folder.name} is {store.info(folder).state}")
    elif options.pause:
        store.pause(folder)
        complain(f"{folder.name} pauses; go on with: {PROGRAM} train --resume {folder.name}")
    else:
        store.stop(folder)
        complain(f"{folder.name} ends after its step, with a checkpoint")
    return OK


# A run on the terminal


class Follower:
    """Print what happens to a run: epochs to stdout, the present moment to stderr."""

    def __init__(
        self,
        watch: RunWatch,
        *,
        quiet: bool = False,
        live: bool | None = None,
        on_epoch: Callable[[RunView], None] | None = None,
    ) -> None:
        self._watch, self._quiet, self._on_epoch = watch, quiet, on_epoch
        self._live = not quiet and (sys.stderr.isatty() if live is None else live)
        self._printed: dict[int, EpochRow] = {}
        self._start: object = None
        self._last = ""

    def until_the_end(self) -> RunView:
        """Follow until the run has no process any more."""
        while (view := self.once()).active:
            time.sleep(LOOK_S)
        return view

    def once(self) -> RunView:
        """Print what is new, and return all there is."""
        view = self._watch.view if not self._watch.poll() else self._watch.catch_up()
        if view.start and view.start is not self._start:
            first, self._start = self._start is None, view.start
            self._clear()
            if not self._quiet:
                for text in (*introduction(view), *[LEGEND] * first):
                    complain(text)
            if first:
                self._print(_joined([name for name, *_ in COLUMNS]))
        new = [row for row in view.rows if self._printed.get(row.epoch) is not row]
        for row in new:
            self._printed[row.epoch] = row
            self._print(epoch_line(row))
        if new and self._on_epoch is not None:
            self._on_epoch(view)
        self._show_moment(view)
        return view

    def _print(self, text: str) -> None:
        if not self._quiet:
            self._clear()
            say(text)

    def _show_moment(self, view: RunView) -> None:
        text = moment(view)[:WIDTH]
        if self._live and view.active:
            sys.stderr.write(f"\r{text.ljust(WIDTH)}")
            sys.stderr.flush()
        elif not self._quiet and view.state == "queued" and view.message and text != self._last:
            complain(text)
        self._last = text
        if not view.active:
            self._clear()

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write(f"\r{' ' * WIDTH}\r")
            sys.stderr.flush()


def epoch_line(row: EpochRow) -> str:
    """Return the line of an epoch."""
    *cells, last = (number(row.score(key), digits) for _, _, key, digits in COLUMNS if key)
    last = last if last == NOTHING else f"[{last}]"
    took = duration(row.seconds) or NOTHING
    cells = [str(row.epoch), number(row.total), *cells, last, took]
    remark = ", ".join(filter(None, [row.remark, "best" if row.best else ""]))
    return f"{_joined(cells)}  {remark}".rstrip()


def _joined(cells: Sequence[str]) -> str:
    return "  ".join(c.rjust(width) for c, (_, width, *_) in zip(cells, COLUMNS, strict=True))


def introduction(view: RunView) -> list[str]:
    """Return lines about a run that has begun."""
    forms = {"device": "on {}", "parameters": "{:,} parameters",
             "train_images": "{} training images", "val_images": "{} validation images",
             "": f"{view.n_epochs} epochs of {view.steps_per_epoch} steps",
             "batch": "batch {}"}  # fmt: skip
    known = {"": 0} | {k: v for k, v in view.start.items() if isinstance(v, int | str) and v != ""}
    facts = [form.format(known[name]) for name, form in forms.items() if name in known]
    lines = [f"{view.name}: {', '.join(facts)}"]
    if resumed := view.start.get("resumed_epoch"):
        lines.append(f"goes on after epoch {resumed}")
    notes = view.start.get("notes")
    return lines + [f"note: {note}" for note in (notes if isinstance(notes, list) else ())]


def moment(view: RunView) -> str:
    """Return the line of the present moment."""
    if view.state != "running" or not view.step:
        return f"{view.state}: {view.message}" if view.message else view.state
    per_epoch = view.steps_per_epoch
    step = view.step - (view.epoch - 1) * per_epoch if per_epoch else view.step
    parts = [
        f"epoch {view.epoch}/{view.n_epochs}",
        f"step {step}/{per_epoch}" if per_epoch else f"step {step}",
        f"loss {number(view.steps.last('total'))}",
    ]
    if not math.isnan(magnitude := view.steps.last("magnitude")):
        true = number(view.steps.last("true_magnitude"), 2)
        parts.append(f"magnitude {number(magnitude)} of {true}")
    if not math.isnan(view.images_per_s):
        parts.append(f"{view.images_per_s:.1f} images/s")
    if not math.isnan(view.eta_s):
        parts.append(f"{duration(view.eta_s)} left")
    return "  ".join(parts)


def say_end(view: RunView, log: Path, resumable: bool) -> None:
    """Say how a run ended, and how it can go on."""
    reason, best = view.error or view.message, view.best
    if view.error_term:
        reason = f"{reason} (term {view.error_term})"
    if view.state == "done" and best is not None:
        score = f"best epoch {best.epoch}, AJI {number(best.score('aji'))}"
        reason = f"{score}. {reason}" if reason else score
    complain(f"{view.name}: {view.state}" + (f". {reason}" if reason else ""))
    if view.state in {"failed", "killed"} and log.exists():
        complain(f"what its process wrote is in {log}")
    if resumable:
        complain(f"go on with: {PROGRAM} train --resume {view.name}")


# check-loss


def check_loss(options: Namespace) -> int:
    """Run all checks of the loss; 0 if the corrected tests pass, 1 if one fails."""
    from ..core.diagnosis.story import loss_claims, story_text  # noqa: PLC0415 - loads torch

    if not 0 <= options.seed < MAX_SEED:
        raise InputError(f"--seed is {options.seed}; give a whole number from 0 to {MAX_SEED - 1}.")
    rows = loss_claims(options.seed)
    passed = sum(row.holds for row in rows)
    if options.json:
        made = [{"name": row.claim, "passed": row.holds, "expected": row.expected, "measured":
                 {n: v if math.isfinite(v) else str(v) for n, v in row.measured.items()},
                 "why": row.words} for row in rows]  # fmt: skip
        plain = {"passed": passed == len(rows), "seed": options.seed, "checks": made}
        say(json.dumps(plain, indent=2, allow_nan=False))
    else:
        say(story_text(rows, "Checks of the magnitude loss: what was said, and what is measured",
                       f"{passed} of {len(rows)} corrected checks pass."))  # fmt: skip
    return 0 if passed == len(rows) else 1
