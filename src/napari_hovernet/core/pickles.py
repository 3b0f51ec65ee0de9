"""Pickles are looked at, opcode by opcode, before anything reads them; plain ones are read here."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from ..errors import InputError, plain

MAX_OPCODES = 4_000_000
"""Steps of a pickle; the largest checkpoints with optimiser have some 200,000."""
MAX_NODES = 8_000_000
"""Values that a walk through all of it meets, those met twice counted twice."""
MAX_DEPTH = 60
"""Levels of values within values."""

_INTO = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"))
"""Opcodes that change the value below what they take."""
_SIZED = ("bytearray", "range", "repeat", "zeros", "empty", "ones")
"""Last names of callables that make something as large as a number says."""


@dataclass(eq=False)
class _Node:
    """One value: what is in it, and its number or text if it is one."""

    parts: list[_Node] = field(default_factory=list)
    value: Any = None


@dataclass(frozen=True)
class Scan:
    """What a pickle holds, found without making any of it."""

    names: frozenset[str]  # Callables it asks for
    storage: int  # Numbers in the arrays that it claims, of torch


def scan(data: bytes | IO[bytes], pickles: int = 1) -> Scan:
    """Go through pickles one after another; InputError where they would never end or fill memory.

    ValueError where the bytes are no pickle.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    names: set[str] = set()
    storage, budget = 0, MAX_OPCODES
    for number in range(pickles):
        if number and not stream.read(1):
            break
        if number:
            stream.seek(-1, 1)
        machine = _Machine()
        for opcode, argument, _at in pickletools.genops(stream):
            machine.step(opcode, argument)
            budget -= 1
            if budget < 0:
                raise InputError(f"its pickle has more than {MAX_OPCODES:,} steps")
        _check_size(machine.every)
        names |= machine.names
        storage += machine.storage
    return Scan(frozenset(names), storage)


class _Machine:
    """The stack and memo of a pickle, with nodes in place of values."""

    def __init__(self) -> None:
        self.stack: list[_Node | None] = []  # None is a mark
        self.memo: dict[int, _Node] = {}
        self.every: list[_Node] = []
        self.names: set[str] = set()
        self.storage = 0

    def step(self, opcode: Any, argument: Any) -> None:
        name = opcode.name
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = len(self.memo) if name == "MEMOIZE" else int(argument)
            if place > MAX_OPCODES:
                raise InputError(f"its pickle remembers a value as number {place:,}")
            self.memo[place] = self._top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if int(argument) not in self.memo:
                raise ValueError("a value that is not remembered")
            self.stack.append(self.memo[int(argument)])
        elif name == "MARK":
            self.stack.append(None)
        elif name == "DUP":
            self.stack.append(self._top())
        else:
            self._apply(opcode, argument)

    def _taken(self, opcode: Any) -> list[_Node]:
        """Take from the stack what an opcode takes."""
        taken: list[_Node] = []
        for kind in reversed(opcode.stack_before):
            if kind is pickletools.stackslice:
                while (part := self._pop()) is not None:
                    taken.append(part)
                self.stack.append(None)
            elif kind is pickletools.markobject:
                while self._pop() is not None:
                    pass
            elif (part := self._pop()) is not None:
                taken.append(part)
        return taken[::-1]

    def _apply(self, opcode: Any, argument: Any) -> None:
        """Take what an opcode takes, and put what it makes."""
        taken = self._taken(opcode)
        if opcode.name in ("GLOBAL", "INST"):
            self._name(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            self._name(".".join(str(part.value) for part in taken))
        elif opcode.name == "BINPERSID":
            self._claim(taken)
        if not opcode.stack_after:
            return
        if opcode.name in _INTO and taken:
            taken[0].parts += taken[1:]
            self.stack.append(taken[0])
            return
        node = _Node(taken, argument)
        self.every.append(node)
        self.stack.append(node)

    def _name(self, name: str) -> None:
        self.names.add(name)
        if name.rpartition(".")[2] in _SIZED:
            raise InputError(f"its pickle asks for {plain(name, 60)}, which can fill the memory")

    def _claim(self, taken: list[_Node]) -> None:
        """Add up the numbers of torch's storages: ("storage", type, key, place, how many ...)."""
        parts = taken[0].parts if taken else []
        if len(parts) > 4 and isinstance(parts[4].value, int):
            self.storage += max(parts[4].value, 0)

    def _top(self) -> _Node:
        if not self.stack or self.stack[-1] is None:
            raise ValueError("nothing on the stack")
        return self.stack[-1]

    def _pop(self) -> _Node | None:
        if not self.stack:
            raise ValueError("nothing on the stack")
        return self.stack.pop()


def _check_size(every: list[_Node]) -> None:
    """Refuse what a walk would not finish: shared values count each time, circles for ever."""
    size: dict[int, int] = {}
    depth: dict[int, int] = {}
    open_: set[int] = set()
    for start in every:
        todo = [(start, False)]
        while todo:
            node, done = todo.pop()
            key = id(node)
            if done:
                open_.discard(key)
                size[key] = 1 + sum(size[id(part)] for part in node.parts)
                depth[key] = 1 + max((depth[id(part)] for part in node.parts), default=0)
                if size[key] > MAX_NODES or depth[key] > MAX_DEPTH:
                    what = (
                        f"{size[key]:,} values, {depth[key]} deep"
                        if size[key] < 10**12
                        else ("more values than can ever be walked through")
                    )
                    raise InputError(f"its pickle holds {what}")
            elif key in open_:
                raise InputError("its pickle holds a value that holds itself")
            elif key not in size:
                open_.add(key)
                todo.append((node, True))
                todo += [(part, False) for part in node.parts if id(part) not in size]


# --- plain pickles of numpy -----------------------------------------------------------


class _DType:
    """Stands in for numpy's dtype: its name and byte order, nothing that numpy runs."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name, self.order = str(name), ""

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1]) if isinstance(state, tuple) and len(state) > 1 else ""

    def made(self) -> np.dtype[Any]:
        text = self.name if self.name[:1] in "<>|=" else f"{self.order}{self.name}"
        dtype = np.dtype(text if text[:1] != "|" or len(text) > 1 else text[1:])
        if dtype.kind not in "iufbSU":
            raise pickle.UnpicklingError("an array that holds no numbers")
        return dtype


class _Array:
    """Stands in for numpy's array until its numbers are checked."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if isinstance(data, list):
            self.value = data
            return
        made = dtype.made()
        array = np.frombuffer(data, made)
        if array.size != int(np.prod(shape, dtype=object)):
            raise pickle.UnpicklingError("an array of the wrong length")
        self.value = array.reshape(shape, order="F" if fortran else "C")


def _scalar(dtype: _DType, data: Any = b"") -> Any:
    return np.frombuffer(data, dtype.made())[0].item()


def _from_buffer(data: Any, dtype: _DType, shape: Any, order: str) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, dtype, order == "F", bytes(data)))
    return made


_PLAIN: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    "collections.OrderedDict": dict,
    "_codecs.encode": lambda text, how: str(text).encode("latin-1"),
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
    **{f"pathlib.{kind}": (lambda *parts: "/".join(map(str, parts)))
       for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")},
}  # fmt: skip
"""What a plain pickle may ask for, and what it gets: numbers, texts, arrays of numbers."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _PLAIN.get(f"{module}.{name}")
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no plain value")
        return found

    def persistent_load(self, _: Any) -> Any:
        raise pickle.UnpicklingError("it points to other files")


def read_plain(file: IO[bytes]) -> Any:
    """Read a pickle of plain values and arrays of numbers; no code of it or of numpy's is run."""
    data = file.read()
    try:
        scan(data)
        return _opened(_Reader(io.BytesIO(data)).load())
    except InputError:
        raise
    except Exception as error:  # a broken pickle can raise anything
        raise InputError(f"its pickle is not plain values ({plain(error, 100)})") from error


def _opened(value: Any) -> Any:
    if isinstance(value, _Array):
        return _opened(value.value)
    if isinstance(value, dict):
        return {key: _opened(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_opened(part) for part in value]
    return value
