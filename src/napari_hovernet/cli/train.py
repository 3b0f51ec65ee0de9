"""``napari-hovernet train``: start a training run and follow it, or be its process."""

from __future__ import annotations

import shlex
import time
from argparse import Namespace

from ..app.finetune import look_at_data, say_what_is_missing
from ..app.processes import is_here, wait_until_gone
from ..app.run_process import FAILED, OK, Life, is_first, live
from ..app.run_state import read_process
from ..app.run_store import RunStore, Start, training_command
from ..app.run_watch import RunWatch
from ..app.train_options import OPTIONS, config_from, default_name
from ..core.params import TrainConfig
from ..core.training.check import FAULT, WARN, DataReport
from ..core.training.files import RunFolder
from ..errors import InputError, UserError
from .console import complain, say
from .follow import Follower, say_end

INTERRUPTED = 130
REPORT_S = 20.0
"""How long the report of a finished run is waited for; it takes about a second."""
STAMP = "%m%d-%H%M"
STATUS = {"done": OK, "stopped": INTERRUPTED}
"""Exit status by the state in which a run ends; any other is a failure."""


def run(options: Namespace) -> int:
    """Train; 0 if it is done, 1 if it failed, 130 if it was stopped."""
    if options.run is not None:
        return be_the_process(RunFolder(options.run), options)
    store = RunStore(options.runs_dir)
    start = Start(queued=not options.now)
    if options.resume is not None:
        folder = _again(store, start, options)
    else:
        config = config_of(options)
        say_what_is_missing(config)
        if not options.no_check:
            check(config, quiet=options.quiet)
        folder = store.create(config, exact=options.name is not None)
        if options.prepare:
            return _say_how_to_start(folder)
        store.start(folder, start)
    if options.detach:
        say(folder.name)
        if not options.quiet:
            complain(
                f"{folder.name} runs in the background. Watch it with: {_attach(options, folder)}"
            )
        return OK
    return _follow(store, folder, options)


def config_of(options: Namespace) -> TrainConfig:
    """Return the configuration that the options stand for."""
    config = config_from(vars(options), options.loss_preset or "")
    if options.name is None:
        stamp = time.strftime(STAMP)
        return config_from({**vars(options), "name": default_name(config, stamp)},
                           options.loss_preset or "")  # fmt: skip
    return config


def check(config: TrainConfig, *, quiet: bool) -> None:
    """Look at the data and say what is found."""
    report = look_at_data(config)
    if not quiet:
        complain(f"data: {report.summary}")
        for text in (*report.notes, *_words(report, WARN)):
            complain(f"note: {text}")
    if report.refused:
        raise InputError(f"Not fit for training: {' '.join(_words(report, FAULT))}")


def _words(report: DataReport, verdict: str) -> list[str]:
    return [finding.words for finding in report.findings if finding.verdict == verdict]


def be_the_process(folder: RunFolder, options: Namespace) -> int:
    """Be the process of a run."""
    status = live(folder, _train, Life(options.resume is not None, not options.now))
    if is_first() and folder.events.exists():
        _report(folder)
    return status


def _train(folder: RunFolder, resume: bool) -> int:
    from ..core.training.loop import run_training  # noqa: PLC0415 - loads Lightning

    return int(run_training(folder, resume=resume))


def _report(folder: RunFolder) -> None:
    """Write the report; what goes wrong with it is said in the log and harms nothing else."""
    from ..app.reports import write_report  # noqa: PLC0415 - on first use

    try:
        write_report(folder)
    except Exception as error:  # the training is done and stays so
        complain(f"the report could not be written: {type(error).__name__}: {error}")


def _again(store: RunStore, start: Start, options: Namespace) -> RunFolder:
    """Let a run go on."""
    if not options.resume:
        raise InputError("--resume needs the name of a run; `napari-hovernet runs` lists them.")
    given = [f"--{known.option}" for known in OPTIONS.values()
             if getattr(options, known.option.replace("-", "_")) is not None]  # fmt: skip
    given += [f"--{n}" for n in ("data", "start", "name") if getattr(options, n) is not None]
    given += ["--loss-preset"] * (options.loss_preset is not None)
    if given:
        raise InputError(
            f"A run goes on as it began; leave out {', '.join(given)}, or start a new run from "
            "its last model: --start RUN/last.safetensors."
        )
    folder = store.find(options.resume)
    store.resume(folder, start)
    return folder


def _say_how_to_start(folder: RunFolder) -> int:
    command = training_command(folder, Start(queued=False))
    say(shlex.join(command))
    return OK


def _attach(options: Namespace, folder: RunFolder) -> str:
    words = ["napari-hovernet", "attach", folder.name]
    if options.runs_dir is not None:
        words += ["--runs-dir", str(options.runs_dir)]
    return shlex.join(words)


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
        except SystemExit:  # told to end: so is the run
            _interrupt(store, folder, again=False)
            raise
    _wait_for_the_report(folder)
    info = store.info(folder)
    if not options.quiet or view.state not in STATUS:
        say_end(view, folder.log, info.can_resume)
    if view.state == "done" and not options.quiet:
        _say_results(folder)
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


def _wait_for_the_report(folder: RunFolder) -> None:
    """Wait until the run's process, which has told its end, has written its report too."""
    mark = read_process(folder)
    if mark is not None and is_here(mark):
        wait_until_gone(mark, REPORT_S)


def _say_results(folder: RunFolder) -> None:
    written = (folder.best, folder.last, folder.report)
    complain(f"written: {', '.join(str(path) for path in written if path.exists())}")
