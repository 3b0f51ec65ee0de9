"""Slides to results: blocks handed to workers, resumed, cancelled, finished."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent import futures
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from .._version import __version__
from ..core.io.far import LEASE_SECONDS, Far, Lease, linked, place
from ..core.io.files import output_error, read_type_scheme, write_json
from ..core.limits import check_room, cores_given, freed_memory_kept
from ..core.params import InferenceParams, SeparationParams
from ..core.slides.blocks import Block, Recipe, reach_of, segment_block
from ..core.slides.finish import finish_steps
from ..core.slides.mask import find_tissue
from ..core.slides.params import AUTO, OFF, SlideParams, WorkParams
from ..core.slides.source import EXTRA, SlideSource, open_slide
from ..core.slides.store import (
    FAILED,
    LOCK,
    RUN,
    SUMMARY,
    Run,
    SlideStore,
    Takes,
    create_store,
    write_block,
)
from ..core.types import Model, ModelInfo, Progress, TypeInfo, TypeScheme, limit_workers
from ..core.weights import DEFAULT
from ..errors import InputError, JobFailed, OutputError, UserError
from .jobs import describe_failure
from .own_code import import_named, is_code

TRIES = 2
"""Times a block is tried before it is listed as failed."""
BLOCK_BYTES = 90
"""Main memory per pixel of a block's window at its fullest: maps, stages, copies (measured)."""
NETWORK_BYTES = 1_500_000_000
"""Main memory of a worker beside that: libraries, network and a pass of it."""
POLL_SECONDS, CLOSE_SECONDS = 0.5, 5.0
BESIDE_GPU, IN_NETWORK = 4, 2
"""Blocks in work at once on a GPU, and of these in its network: one is read, one is computed."""
NO_WORKER_SECONDS = 10.0
"""Without a worker for so long, it is said what to do: clusters take a moment to start some."""
ENDING = ".zarr"


@dataclass(frozen=True)
class SlideJob:
    """Slides, and all that is to be done with them."""

    slides: tuple[str, ...]
    output: str | Path  # The store of one slide, or its URL; a folder of stores for several
    model: str = DEFAULT
    device: str = "auto"
    inference: InferenceParams = field(default_factory=InferenceParams)
    separation: SeparationParams = field(default_factory=SeparationParams)
    slide_params: SlideParams = field(default_factory=SlideParams)
    work: WorkParams = field(default_factory=WorkParams)
    types: str = ""  # File of names, colours and groups of types; "" = as the model has them


@dataclass(frozen=True)
class SlideOutcome:
    """What became of a slide."""

    slide: str
    store: str
    summary: dict[str, Any] = field(default_factory=dict)
    failed: tuple[str, ...] = ()  # Blocks, or the slide itself, and why


# --- what a worker does --------------------------------------------------------------


class Task(NamedTuple):
    """All that goes over the wire: less than a kilobyte."""

    store: str
    block: Block
    model: str
    device: str
    version: str = __version__


_turn = threading.BoundedSemaphore(IN_NETWORK)


class Outcome(NamedTuple):
    """How a task ended; ``hopeless`` = the next would end alike."""

    error: str = ""
    hopeless: bool = False


def work(task: Task) -> Outcome:
    """Do a block and write it; what goes wrong is told, not raised."""
    if task.version != __version__:
        return Outcome(
            f"the worker has version {__version__} of napari-hovernet and the run {task.version}; "
            "install the same on all machines", True,
        )  # fmt: skip
    try:
        made = (place(task.store) / RUN).read_bytes()  # of a store that is made anew, others
        store, block = _store(task.store, made), Block(*task.block)
        run = store.run
        types, takes = tuple(run.types.items()), tuple(run.takes.items())
        model = _typed(task.model, task.device, types, takes)
        if model.info.sha256 != run.sha256:
            return Outcome(f"the model {task.model} has changed since the run was begun", True)
        done = segment_block(model, run.source, block, run.recipe, store.tissue, _turn)
        write_block(store, done)
    except OutputError as error:  # what was dropped may be taken the next time
        return Outcome(str(error), not isinstance(error.__cause__, (ConnectionError, TimeoutError)))
    except UserError as error:
        return Outcome(str(error))
    except Exception as error:  # one block must not end the run
        return Outcome(describe_failure(error))
    return Outcome()


@lru_cache(maxsize=4)
def _store(path: str, _made: bytes) -> SlideStore:
    return SlideStore(path)


@lru_cache(maxsize=1)
def _model(source: str, device: str) -> Model:
    """Load a model: a file, a built-in one, or one of your own by ``file.py:function``."""
    if is_code(source) and ".py:" in source:
        made: Model = import_named(source)()
        return made
    from ..core.checkpoint import load_model  # noqa: PLC0415 - on first use

    return load_model(source, device)


@lru_cache(maxsize=1)
def _typed(
    source: str, device: str, types: tuple[tuple[int, TypeInfo], ...], takes: Takes
) -> Model:
    """Return the model, its types named and taken together anew where that is asked for."""
    model = _model(source, device)
    if not takes:
        return model
    from ..core.inference.regrouped import with_types  # noqa: PLC0415 - on first use

    return with_types(model, TypeScheme(dict(types), dict(takes)))


# --- who does it ---------------------------------------------------------------------


# A crew takes tasks (``submit``), as many as it has ``slots``, waits a moment for those that have
# ended and gives them back with what became of them (``ended``), says who works, and what is to be
# done that work goes on (``told``), and gives up what is in work (``close``).


class _Here:
    """The process of the run does the work; beside a GPU in threads, so that it need not wait."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._pool = futures.ThreadPoolExecutor(slots)
        self._tasks: dict[futures.Future[Outcome], Task] = {}

    def submit(self, task: Task) -> None:
        alone: futures.Future[Outcome] = futures.Future()
        self._tasks[alone if self.slots == 1 else self._pool.submit(work, task)] = task

    def ended(self) -> list[tuple[Task, Outcome]]:
        if self.slots == 1:  # in this thread, which Ctrl-C ends at once
            return [(task, work(task)) for _, task in [self._tasks.popitem()]]
        done = futures.wait(self._tasks, POLL_SECONDS, futures.FIRST_COMPLETED).done
        return [(self._tasks.pop(future), future.result()) for future in done]

    def told(self) -> tuple[str, str]:
        return "" if self.slots == 1 else f", {len(self._tasks)} in work", ""

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _serve(pipe: Any, threads: int) -> None:
    """Work until the other end is closed, as it is when the run is killed."""
    import torch  # noqa: PLC0415 - in the worker alone

    torch.set_num_threads(threads)
    limit_workers(threads)
    with freed_memory_kept(), suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            pipe.send(work(Task(*pipe.recv())))


class _Processes:
    """Processes of this machine; one that dies is replaced, and its block is tried again."""

    def __init__(self, count: int) -> None:
        self.slots = count
        self._context = multiprocessing.get_context("spawn")
        self._threads = max(cores_given() // count, 1)
        self._idle = [self._started() for _ in range(count)]
        self._busy: dict[Any, tuple[Any, Task]] = {}

    def _started(self) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._threads), daemon=True)
        process.start()
        theirs.close()
        return ours, process

    def submit(self, task: Task) -> None:
        pipe, process = self._idle.pop()
        if not process.is_alive():
            pipe.close()
            pipe, process = self._started()
        with suppress(OSError):  # it has died just now: told by `ended`
            pipe.send(task)
        self._busy[pipe] = (process, task)

    def ended(self) -> list[tuple[Task, Outcome]]:
        found = []
        ready: list[Any] = wait(list(self._busy), POLL_SECONDS)
        for pipe in ready:
            process, task = self._busy.pop(pipe)
            try:
                outcome = Outcome(*pipe.recv())
                self._idle.append((pipe, process))
            except (EOFError, OSError):
                process.join(POLL_SECONDS)
                outcome = Outcome(f"its process ended with {process.exitcode} (out of memory?)")
                pipe.close()
                self._idle.append(self._started())
            found.append((task, outcome))
        return found

    def told(self) -> tuple[str, str]:
        return f", {len(self._busy)} in work", ""

    def close(self) -> None:
        for pipe, _ in self._idle:
            pipe.close()  # ends its process
        for pipe, (process, _) in self._busy.items():
            pipe.close()
            process.terminate()
        for process in [p for _, p in self._idle] + [p for p, _ in self._busy.values()]:
            process.join(CLOSE_SECONDS)
            process.kill()  # which does nothing to one that has ended
            process.join()


def _served_by_dask(task: tuple[Any, ...]) -> Outcome:
    """Work with the threads that the worker was given (dask says it by OMP_NUM_THREADS)."""
    import torch  # noqa: PLC0415 - in the worker alone

    limit_workers(torch.get_num_threads())
    return work(Task(*task))


class _Dask:
    """Workers of a dask scheduler, wherever they are; one that is lost is replaced by dask."""

    def __init__(self, address: str) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise InputError(
                f"dask is not installed; {EXTRA.replace('slides', 'dask')}."
            ) from error
        try:
            self._client = distributed.Client(address, timeout="20s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(f"No dask scheduler answers at {address} ({error}).") from error
        self._address = address
        self._tasks: dict[Any, Task] = {}
        self._without_since: float | None = None

    def _threads(self) -> list[int]:
        """Threads of each worker."""
        try:
            return list(self._client.nthreads().values())
        except OSError as error:  # it has tried for as long as it waits to connect
            raise self._gone() from error

    @property
    def slots(self) -> int:
        """Two tasks for each thread, so that no worker waits for the next."""
        return 2 * max(sum(self._threads()), 1)

    def told(self) -> tuple[str, str]:
        workers, now = len(self._threads()), time.time()
        if workers:
            self._without_since = None
            return f", {workers} worker(s)", ""
        self._without_since = self._without_since or now
        since = time.strftime("%H:%M:%S", time.localtime(self._without_since))
        if now - self._without_since < NO_WORKER_SECONDS:
            return f", no worker since {since}", ""
        return f", no worker since {since}", (
            f"the scheduler at {self._address} has no workers since {since}: start some with "
            f"'dask worker {self._address}', or see why the jobs of your cluster do not start; "
            "the run waits for them"
        )

    def _gone(self) -> JobFailed:
        return JobFailed(
            f"The dask scheduler at {self._address} is gone. What is done is kept: start it and "
            "run again."
        )

    def submit(self, task: Task) -> None:
        future = self._client.submit(_served_by_dask, tuple(task), pure=False)
        self._tasks[future] = task

    def ended(self) -> list[tuple[Task, Outcome]]:
        found: list[tuple[Task, Outcome]] = []
        if self._client.status == "closed":
            raise self._gone()
        here = self._client.status == "running"
        for future in [f for f in self._tasks if f.done() or (here and f.status == "lost")]:
            task = self._tasks.pop(future)
            if not future.done():  # of a scheduler that was started anew
                outcome = Outcome("the dask scheduler has lost it")
            elif error := future.exception():
                outcome = Outcome(describe_failure(error))
            else:
                outcome = future.result()
            found.append((task, outcome))
        if not found:
            time.sleep(POLL_SECONDS / 5)
        return found

    def close(self) -> None:
        with suppress(Exception):  # a scheduler that is gone needs no goodbye
            self._client.cancel(list(self._tasks))
        self._client.close()


_Crew = _Here | _Processes | _Dask


def _crew(job: SlideJob) -> _Crew:
    if job.work.scheduler:
        return _Dask(job.work.scheduler)
    return _Processes(job.work.workers) if job.work.workers else _Here(_slots(job.device))


def _slots(device: str) -> int:
    """How many blocks this process has in work: several where a GPU runs the network."""
    from ..core.inference.devices import is_host, resolve_device  # noqa: PLC0415 - loads torch

    return 1 if is_host(resolve_device(device)) else min(cores_given(), BESIDE_GPU)


# --- the run -------------------------------------------------------------------------


@dataclass
class _Slide:
    """A slide in work."""

    slide: str
    store: SlideStore
    left: set[Block]
    failed: dict[str, str] = field(default_factory=dict)
    lease: Lease | None = None


def slide_steps(job: SlideJob) -> Generator[Progress, None, tuple[SlideOutcome, ...]]:
    """Segment slides block by block; what is done already is not done again.

    Closing the generator stops the workers; the next run with the same parameters goes on.
    """
    yield Progress(0, 0, "opening the model")
    scheme = read_type_scheme(job.types) if job.types else TypeScheme({})
    takes = tuple((k, scheme.takes.get(k, (k,))) for k in scheme.names if k)
    info = _typed(job.model, job.device, tuple(scheme.names.items()), takes).info
    outcomes: list[SlideOutcome] = []
    with ExitStack() as stack:
        slides: list[_Slide] = []
        for slide, store in zip(job.slides, store_paths(job), strict=True):
            yield Progress(0, 0, f"looking at {Path(slide).name}")
            try:
                with _told(store):
                    lock = _locked(store)
                    stack.callback(lock.release)
                    opened = _prepared(job, slide, store, info, takes)
                opened.lease = lock if isinstance(lock, Lease) else None
            except UserError as error:
                if len(job.slides) == 1:
                    raise
                outcomes.append(SlideOutcome(slide, str(store), failed=(str(error),)))
                yield Progress(0, 0, "", f"{slide}: {error}")
                continue
            notes = [*opened.store.run.source.notes]
            if not opened.store.run.recipe.exact:
                notes.append(
                    "this separation looks at all of a tile, so blocks cannot give the result of "
                    "one big image; 'local' can"
                )
            for note in notes:
                yield Progress(0, 0, "", f"{Path(slide).name}: {note}")
            slides.append(opened)
        if slides:
            _check_memory(job, slides)
        yield from _run_blocks(job, slides)
        for opened in slides:
            outcomes.append((yield from _finished(opened)))
    return tuple(outcomes)


def store_paths(job: SlideJob) -> Sequence[Path | Far]:
    """Name the store of each slide."""
    output: Any = place(job.output)
    if len(job.slides) == 1:
        return [output]
    names = [SlideSource(slide, "", (1, 1), 1.0).name for slide in job.slides]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Several slides are called {', '.join(twice)}; run them one by one.")
    return [output / f"{name}{ENDING}" for name in names]


@contextmanager
def _told(store: Path | Far | str) -> Iterator[None]:
    """Say in a line why a store cannot be used."""
    try:
        with linked():
            yield
    except OSError as error:
        raise output_error(store, error) from error


def _locked(store: Path | Far) -> filelock.BaseFileLock | Lease:
    if isinstance(store, Far):
        lease = Lease(store / LOCK)
        if there := lease.taken_by():
            raise InputError(
                f"Another run writes {store}: {there}. Wait for it, or choose another OUT; if it "
                f"is dead, delete {store / LOCK}, or wait {LEASE_SECONDS / 60:.0f} minutes."
            )
        lease.renew()
        return lease
    lock = filelock.FileLock(store / LOCK)
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(
            f"Another run writes {store}; wait for it, or choose another OUT."
        ) from error
    return lock


def _prepared(job: SlideJob, slide: str, path: Path | Far, info: ModelInfo, takes: Takes) -> _Slide:
    """Open a slide and its store; blocks that are done are left out."""
    source = open_slide(slide, job.slide_params.level, job.inference.image_mpp)
    mask, there = job.slide_params.mask, SlideStore(str(path))
    known = mask in (AUTO, OFF) and (path / RUN).exists()
    known = known and there.run.recipe.slide_params.mask == mask
    tissue = there.tissue if known else find_tissue(source, mask)
    if not tissue.cells.any():
        raise InputError(
            f"There is no tissue on {slide}; run on all of it with --mask off, or on what is drawn."
        )
    recipe = Recipe(replace(job.inference, image_mpp=None), job.separation, job.slide_params)
    store = create_store(path, Run.of(source, recipe, info, job.model, takes), tissue)
    left = () if store.finished else store.blocks
    return _Slide(slide, store, {b for b in left if store.done(b) is None})


def _check_memory(job: SlideJob, slides: Sequence[_Slide]) -> None:
    """Refuse what cannot fit before any work is done."""
    if job.work.scheduler:
        return
    edge = max(
        min(job.slide_params.block + 2 * (job.slide_params.context + reach_of(job.separation)),
            max(s.store.run.source.shape)) for s in slides
    )  # fmt: skip
    each, count = edge * edge * BLOCK_BYTES + NETWORK_BYTES, job.work.workers or _slots(job.device)
    check_room(
        each * count, f"{count} worker(s) with blocks of {job.slide_params.block} px",
        "give fewer --workers or a smaller --block",
    )  # fmt: skip


def _run_blocks(job: SlideJob, slides: Sequence[_Slide]) -> Generator[Progress, None, None]:
    """Hand out blocks, those of the longest slide first, until none is left."""
    by_length = sorted(slides, key=lambda s: -len(s.left))
    queue = deque((s, b) for s in by_length for b in sorted(s.left))
    total = sum(len(s.store.blocks) for s in slides)
    if not queue:
        return
    crew, tries, busy = _crew(job), dict[Any, int](), dict[Task, _Slide]()
    clock = _Clock(total, total - len(queue))
    try:
        yield clock.progress("")
        said = ""
        while queue or busy:
            while queue and len(busy) < crew.slots:
                slide, block = queue.popleft()
                task = Task(slide.store.path, block, job.model, job.device)
                busy[task] = slide
                crew.submit(task)
            for task, outcome in crew.ended():
                slide = busy.pop(task)
                tries[task] = tries.get(task, 0) + 1
                if outcome.hopeless:
                    raise JobFailed(
                        f"{outcome.error.rstrip('.')}. What is done is kept: run again."
                    )
                if outcome.error and slide.lease:  # the end of the run, if the store is gone
                    with _told(slide.store.path):
                        slide.lease.renew(now=True)
                if outcome.error and tries[task] < TRIES:
                    queue.append((slide, task.block))
                    continue
                if outcome.error:
                    slide.failed[task.block.name] = outcome.error
                    yield Progress(0, 0, "", f"block {task.block.name} failed: {outcome.error}")
                slide.left.discard(task.block)
                clock.done += 1
            for lease in filter(None, (s.lease for s in slides)):
                with suppress(OSError):  # blocks will tell
                    lease.renew()
            more, notice = crew.told()
            yield Progress(0, 0, "", notice) if notice not in ("", said) else clock.progress(more)
            said = notice
    finally:
        crew.close()


@dataclass
class _Clock:
    """Tells how long it will take, from what was done so far."""

    total: int
    done: int
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.before = self.done

    def progress(self, more: str) -> Progress:
        """Return where the run stands."""
        own, left = self.done - self.before, self.total - self.done
        if own and left:
            minutes = (time.monotonic() - self.begun) / own * left / 60
            more += f", {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        return Progress(self.done, self.total, f"block {self.done} of {self.total}{more}")


def _finished(slide: _Slide) -> Generator[Progress, None, SlideOutcome]:
    store, failed = slide.store, tuple(f"{k}: {v}" for k, v in sorted(slide.failed.items()))
    with _told(store.path):
        if store.finished:
            summary = json.loads((store.folder / SUMMARY).read_bytes())
            return SlideOutcome(slide.slide, store.path, summary)
        if failed:
            write_json(store.folder / FAILED, slide.failed)
        summary = yield from finish_steps(store)
    return SlideOutcome(slide.slide, store.path, summary, failed)


def watch_steps(path: str, over: Callable[[], bool] | None = None) -> Iterator[Progress]:
    """Tell how far a run is that was started elsewhere, until it is finished, or ``over()``."""
    store = SlideStore(path)
    clock: _Clock | None = None
    while not (over() if over else (store.folder / SUMMARY).exists()):
        done = sum(store.marker(b).exists() for b in store.blocks)
        clock = clock or _Clock(len(store.blocks), done)
        clock.done = done
        yield clock.progress("")
        time.sleep(POLL_SECONDS)


def lines_of(outcomes: Iterable[SlideOutcome]) -> Iterator[str]:
    """Say in a line what became of each slide."""
    for outcome in (o for o in outcomes if o.summary):
        found = outcome.summary
        magnitude = found["magnitude_inside"]
        inside = "" if magnitude is None else f", mean HV magnitude inside {magnitude:.2f}"
        cut = found["cut_parts"]
        more = f"; {cut} part(s) larger than 2,048 px were cut" if cut else ""
        yield f"{outcome.slide}: {found['nuclei']} nuclei{inside} -> {outcome.store}{more}"
