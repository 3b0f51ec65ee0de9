"""Whole files or none: write beside the target, then put it in place in one step."""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import reprlib
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
import psutil

from ...errors import InputError, OutputError, plain
from ..hv import HVReading
from ..limits import check_file, check_room
from ..params import SeparationParams, from_values
from ..types import BACKGROUND, TypeInfo, TypeScheme, same_name
from .far import Far

if TYPE_CHECKING:
    from ..separation.tuning import TuneParams

TEMPORARY_PREFIX = ".napari-hovernet-"
"""Files of this name beside a result are left over from a killed process; delete them."""

SHOWN_AS = "backslashreplace"
"""How texts for people hold file names whose bytes are no UTF-8."""
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "your quota on this disk is used up: free some space or choose another folder",
    errno.EFBIG: "the file would be larger than this disk or account allows: choose another disk",
    errno.EACCES: "no permission: choose a folder you may write to",
    errno.EPERM: "no permission: choose a folder you may write to",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.ENOENT: "the folder does not exist: create it first",
    errno.ENOTDIR: "part of this path is a file, not a folder: choose another path",
    errno.EISDIR: "there is a folder of this name: choose another name",
    errno.EEXIST: "there is a file of this name: choose another name",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter one",
    errno.EIO: "the disk reports a fault: choose another disk",
}


@contextmanager
def atomic_path(path: str | os.PathLike[str] | Far) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of ``path``.

    Flushed to the disk and renamed at the end; removed if anything is raised. Links are followed.
    """
    if isinstance(path, Far):
        try:
            with path.written() as sent:
                yield sent
        except OSError as error:
            raise output_error(path, error) from error
        return
    target = Path(os.path.realpath(path))
    temporary = _temporary(target.parent)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        _refuse_locked(target.parent, target)
        temporary.touch(exist_ok=False)
        yield temporary
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, target)
        with suppress(OSError):  # makes the name survive a power cut; not every system can
            _flush(target.parent, os.O_RDONLY)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Say in one line why ``path`` cannot be written and what to do."""
    system = error.strerror or str(error) or type(error).__name__
    lost = isinstance(error, (ConnectionError, TimeoutError))
    remedy = "run again" if lost else "choose another folder"
    reason = _REMEDIES.get(error.errno or 0, f"{system}: {remedy}")
    return OutputError(f"Cannot write {os.fspath(path)}: {reason}.")


def writable_folder(folder: str | os.PathLike[str]) -> Path:
    """Make sure that ``folder`` exists and takes files; creates it where needed."""
    path = Path(folder)
    probe = _temporary(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _refuse_locked(path)
        probe.touch(exist_ok=False)
    except FileExistsError as error:
        wrong_kind = NotADirectoryError(errno.ENOTDIR, "not a folder")
        raise output_error(folder, wrong_kind) from error
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return path


def _refuse_locked(*paths: Path) -> None:
    """Refuse what nobody may write: root could, and anyone may rename over such a file."""
    for path in paths:
        if os.name == "posix" and path.exists() and not path.stat().st_mode & 0o222:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _temporary(folder: Path) -> Path:
    """Name a hidden file; the name tells whose it is, so that the next run can sweep it."""
    return folder / f"{TEMPORARY_PREFIX}{_HOST}-{os.getpid()}-{secrets.token_hex(6)}.tmp"


def sweep(folder: Path) -> None:
    """Remove hidden files and folders that processes of this computer left behind and are gone."""
    with suppress(OSError):
        for left in folder.glob(f"{TEMPORARY_PREFIX}{_HOST}-*.tmp"):
            owner = left.name.removeprefix(f"{TEMPORARY_PREFIX}{_HOST}-").partition("-")[0]
            if owner.isdigit() and int(owner) != os.getpid() and not psutil.pid_exists(int(owner)):
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_in_place(moves: Sequence[tuple[Path, Path]], aside: Path) -> None:
    """Move every file to its target, or, if one cannot be moved, leave all targets as before."""
    undo: list[tuple[Path, Path | None]] = []
    _refuse_locked(*(path for _, target in moves for path in (target.parent, target)))
    try:
        for number, (source, target) in enumerate(moves):
            before = aside / f"{number}.before" if target.exists() else None
            if before is not None:
                shutil.copy2(target, before)
            os.replace(source, target)
            undo.append((target, before))
    except BaseException:
        for target, before in reversed(undo):
            if before is None:
                target.unlink(missing_ok=True)
            else:
                os.replace(before, target)
        raise


@contextmanager
def staged(folder: str | os.PathLike[str], names: Sequence[str]) -> Iterator[Path]:
    """Give a hidden folder for files; on success all of ``names`` are put in place, else none."""
    place = writable_folder(folder)
    sweep(place)
    staging = _temporary(place)
    made = {(place / name).parent for name in names if not (place / name).parent.exists()}
    done = False
    try:
        for name in names:
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).parent.mkdir(parents=True, exist_ok=True)
        yield staging
        put_in_place([(staging / name, place / name) for name in names], staging)
        done = True
    except OSError as error:
        raise output_error(folder, error) from error
    except OutputError as error:
        raise OutputError(str(error).replace(str(staging), str(place))) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for path in made if not done else ():
            shutil.rmtree(path, ignore_errors=True)


MAX_JSON_BYTES = 2 * 2**30
"""Larger files are refused."""
JSON_IN_MEMORY = 10
"""Times its size that a parsed one takes in memory."""
MAX_EDGE = 1_000_000
"""Largest height or width, pixels, that is taken for real."""
MAX_TYPE = 255
"""Largest type number taken for real."""
METADATA_KEY = "napari_hovernet"
"""Member of the files we write that tells how they were made; other readers skip it."""


def write_whole(path: str | os.PathLike[str] | Far, content: str | bytes) -> None:
    """Write a file, all of it or nothing."""
    data = content.encode("utf-8", SHOWN_AS) if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | os.PathLike[str] | Far, value: Any, **how: Any) -> None:
    """Write a JSON file, all of it or nothing; ``how`` as ``json.dumps`` takes it."""
    write_whole(path, json.dumps(value, **{"indent": 1, **how}) + "\n")


def jsonable(value: Any) -> Any:
    """Turn a value into what JSON knows: NaN and infinite numbers are null, paths are text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return jsonable(value.tolist())
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [jsonable(v) for v in value]
    return str(value)


def load_json(path: str | os.PathLike[str] | Far, *, nan: bool = False) -> Any:
    """Parse a JSON file; ``nan`` lets numbers be NaN or infinite, as QuPath writes them."""
    file = path if isinstance(path, Far) else Path(path)
    try:
        if isinstance(file, Path):
            size = check_file(file, "a JSON file", MAX_JSON_BYTES)
            check_room(size * JSON_IN_MEMORY, file.name, "export a smaller region")
        return json.loads(file.read_bytes(), parse_constant=float if nan else _refuse_constant)
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}.") from error
    except RecursionError as error:
        raise InputError(f"{file} is nested too deeply; it is no result of nuclei.") from error
    except InputError:
        raise
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an endless number
        raise InputError(f"{file} is not valid JSON: {plain(error)}. Is it cut off?") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def numbers(value: Any, what: str) -> npt.NDArray[np.float64]:
    """Return nested lists of JSON numbers as an array."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{what} is nested unevenly: {_shown(value)}.") from error
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what} must be numbers, not {_shown(value)}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds a number that is not finite: {_shown(value)}.")
    return array


def points(value: Any, what: str) -> npt.NDArray[np.float64]:
    """Return a list of ``[x, y]`` as a float64 (k, 2) array; a third number is dropped."""
    array = numbers(value, what)
    if array.ndim != 2 or array.shape[1] not in {2, 3}:
        raise InputError(f"{what} must be a list of [x, y], not {_shown(value)}.")
    return array[:, :2]


def member(data: Any, key: str, what: str) -> Any:
    """Return ``data[key]`` of a JSON object."""
    if not isinstance(data, dict):
        raise InputError(f"{what} must be an object with {key!r}, not {_shown(data)}.")
    if key not in data:
        raise InputError(
            f"{what} lacks {key!r}; it has {plain(', '.join(map(repr, data)) or 'nothing')}."
        )
    return data[key]


@contextmanager
def readable(path: object, remedy: str = "copy or export it again") -> Iterator[None]:
    """Say in one line whatever goes wrong while a file is read: its decoder may raise anything."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; give a smaller part.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        raise InputError(
            f"{path} is damaged or cut off ({plain(error, 80) or type(error).__name__}); {remedy}."
        ) from error


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in errors about what is in it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def own_types(data: Any) -> dict[int, TypeInfo]:
    """Read the types in the metadata of a JSON file of ours; {} in any other."""
    about = data.get(METADATA_KEY) if isinstance(data, dict) else None
    return types_from_json(about.get("types")) if isinstance(about, dict) else {}


def own_shape(data: Any) -> tuple[int, int] | None:
    """Return the height and width that a JSON file of ours covers; None in any other."""
    about = data.get(METADATA_KEY) if isinstance(data, dict) else None
    known = about if isinstance(about, dict) else {}
    sizes: list[Any] = [known.get(name) for name in ("offset", "shape")]
    if not all(isinstance(n, list) and len(n) == 2 for n in sizes):
        return None
    if not all(isinstance(v, int) and 0 <= v <= MAX_EDGE for size in sizes for v in size):
        return None
    (row, col), (height, width) = sizes
    return row + height, col + width


def types_to_json(types: Mapping[int, TypeInfo]) -> dict[str, Any]:
    """Return type names and colours as plain values."""
    return {str(k): {"name": t.name, "color": list(t.color)} for k, t in types.items()}


def types_from_json(value: Any) -> dict[int, TypeInfo]:
    """Read what :func:`types_to_json` made; {} where it is anything else."""
    found = {}
    for key, entry in value.items() if isinstance(value, dict) else ():
        colour = color_of(entry.get("color")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if not (key.isascii() and key.isdigit() and len(key) < 5 and isinstance(name, str)):
            return {}
        found[int(key)] = TypeInfo(plain(name), colour or (128, 128, 128))
    return found


def read_type_scheme(path: str | os.PathLike[str]) -> TypeScheme:
    """Read names and colours of types, as hover_net's type_info.json has them.

    A third member lists the types that one takes: ``["other", [0, 0, 255], [1, "spindle"]]``.
    """
    data = load_json(path)
    names, takes = {0: BACKGROUND}, {}
    with named(path):
        if not isinstance(data, dict) or not set(data) - {"0"}:
            raise InputError('it names no types; write {"1": ["epithelial", [255, 165, 0]], ...}.')
        for key, entry in data.items():
            if not (key.isascii() and key.isdigit() and int(key[:6]) <= MAX_TYPE):
                raise InputError(f"type {key!r} is no whole number in 0..{MAX_TYPE}.")
            kind = int(key)
            names[kind], taken = _type_entry(entry, key)
            if taken is not None and kind:
                takes[kind] = taken
        twice = _twice(
            [t for taken in takes.values() for t in taken],
            [info.name for k, info in names.items() if k],
        )
        if twice:
            raise InputError(f"{twice!r} stands there twice; give every type one place.")
    return TypeScheme(names, takes)


def _type_entry(entry: Any, key: str) -> tuple[TypeInfo, tuple[int | str, ...] | None]:
    """Read name, colour and what a type takes."""
    if isinstance(entry, dict):  # as in our own results
        entry = [entry.get("name"), entry.get("color"), *filter(None, [entry.get("takes")])]
    parts = entry if isinstance(entry, list) else []
    colour = color_of(parts[1]) if len(parts) in {2, 3} else None
    if colour is None or not isinstance(parts[0], str) or not parts[0].strip():
        raise InputError(f'type {key} is {_shown(entry)}; write ["name", [red, green, blue]].')
    taken = parts[2] if len(parts) == 3 else None
    if taken is None:
        return TypeInfo(parts[0].strip(), colour), None
    fits = isinstance(taken, list) and all(
        (isinstance(t, int) and not isinstance(t, bool) and 0 < t <= MAX_TYPE)
        or (isinstance(t, str) and t.strip())
        for t in taken
    )
    if not fits:
        raise InputError(f"type {key} takes {_shown(taken)}; list numbers from 1 on, or names.")
    return TypeInfo(parts[0].strip(), colour), tuple(taken)


def _twice(*lists: Sequence[int | str]) -> int | str | None:
    """Return what is in one of the lists more than once, names whatever their case."""
    for values in lists:
        for i, value in enumerate(values):
            if any(same_name(value, other) for other in values[:i]):
                return value
    return None


def type_info_json(types: Mapping[int, TypeInfo]) -> dict[str, Any]:
    """Return names and colours as hover_net's type_info.json has them."""
    return {str(k): [t.name, list(t.color)] for k, t in types.items()}


def color_of(value: Any) -> tuple[int, int, int] | None:
    """Read ``[r, g, b]`` in 0..255, or a packed whole number as older QuPath writes it."""
    if isinstance(value, int) and not isinstance(value, bool):
        packed = value & 0xFFFFFF
        return (packed >> 16, (packed >> 8) & 255, packed & 255)
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(isinstance(v, int) and 0 <= v <= 255 for v in value):
        return None
    return (int(value[0]), int(value[1]), int(value[2]))


def _shown(value: Any, length: int = 60) -> str:
    return plain(reprlib.repr(value), length)


FORMAT = "napari-hovernet separation"
VERSION = 1
LARGEST = 1e9
"""No parameter is as large as this."""
LARGEST_EDGES = {
    "blur_size": 255,
    "opening_size": 255,
    "peak_distance": 255,
    "magnitude_window": 4095,
}
"""Pixels; larger kernels from a file would fill the memory before anything shows."""


def write_params(path: str | os.PathLike[str], params: TuneParams) -> None:
    """Write parameters; a file of that name is replaced."""
    about = {"format": FORMAT, "version": VERSION, **params_as_dict(params)}
    write_json(path, about)


def params_as_dict(params: TuneParams) -> dict[str, Any]:
    """Give parameters as plain values (JSON-able)."""
    separation = {**asdict(params.separation), "scales": list(params.separation.scales)}
    return {"separation": separation, "hv": asdict(params.hv)}


def read_params(path: str | os.PathLike[str]) -> TuneParams:
    """Read parameters that :func:`write_params` wrote; what is missing takes its default."""
    from ..separation.tuning import TuneParams  # noqa: PLC0415 - most readers need none of it

    found = load_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"{path} holds no separation parameters; save some in Segment > All parameters."
        )
    version = found.get("version")
    if version != VERSION:
        raise InputError(
            f"{path} is of version {version!r}; this program reads version {VERSION}: update it."
        )
    separation = from_values(
        SeparationParams(), found.get("separation", {}), f"{path}, separation", LARGEST
    )
    for name, most in LARGEST_EDGES.items():
        if getattr(separation, name) > most:
            raise InputError(
                f"{path}, separation: {name} is {getattr(separation, name)}; "
                f"give up to {most} pixels."
            )
    return TuneParams(separation, from_values(HVReading(), found.get("hv", {}), f"{path}, hv"))
