"""A choice is declared once: a dataclass field that carries its title, unit, range and help.

Range checks, forms, sliders, options of the command line and the reference page are made from
what :func:`choice` puts into a field; :func:`choices` lists it.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import InputError

T = TypeVar("T")
KEY = "choice"
"""Under which a field's metadata holds its :class:`Choice`."""


@dataclass(frozen=True)
class Choice:
    """What is known of one field of a parameters class."""

    name: str = ""
    title: str = ""
    titles: tuple[str, ...] = ()  # Of the numbers of a tuple, first to last
    help: str = ""
    default: Any = None
    unit: str = ""  # "px", "um/px"; "" = a plain number, a switch or a word
    low: float | None = None  # Least and largest value that is accepted
    high: float | None = None
    above: float | None = None  # As low, itself left out
    span: tuple[float, float] | None = None  # What a slider or box offers; default low..high
    step: float | None = None
    odd: bool = False
    options: tuple[Any, ...] = ()  # Words or whole numbers to choose from
    loose: bool = False  # Other words are taken too, and checked where they are used
    none: str = ""  # What None is called; "" = None is refused
    option: str = ""  # Option of the command line, without dashes; "" = none
    group: str = ""  # Under which a form or the command line lists it
    reads: tuple[str, ...] = ()  # Methods that read it; () = all
    factors: bool = False  # A slider goes by factors, a box shows powers of ten
    always: bool = False  # Named in a command line even where it is the default

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        sample = self.default if self.default is not None else self.step
        return isinstance(sample, int) and not isinstance(sample, bool)

    @property
    def kind(self) -> str:
        """Return "switch", "word", "count", "number", "pair", "text" or "other"."""
        if self.options:
            return "word"
        if isinstance(self.default, bool):
            return "switch"
        if isinstance(self.default, tuple):
            return "pair" if len(self.default) == 2 and self.bounded else "other"
        if isinstance(self.default, int | float) or self.bounded:
            return "count" if self.whole else "number"
        return "text" if isinstance(self.default, str) else "other"

    @property
    def bounded(self) -> bool:
        """Whether numbers are checked against a range."""
        return self.low is not None or self.above is not None

    @property
    def decimals(self) -> int:
        """Digits after the point that a step needs."""
        if self.whole or not self.step:
            return 0
        return max(0, -math.floor(math.log10(self.step) + 1e-9))

    @property
    def range_text(self) -> str:
        """What may be given, in words: "a number in 0..1", "1 or more"."""
        if self.options:
            return f"one of {', '.join(map(str, self.options))}"
        kind = "an odd number" if self.odd else "a whole number" if self.whole else "a number"
        if self.high is not None:
            ends = f"{self.above if self.low is None else self.low:g}..{self.high:g}"
            text = f"{kind} in {ends}"
            if self.above is not None:
                text = f"{kind} above {self.above:g}, up to {self.high:g}"
        elif self.above is not None:
            text = f"a finite number above {self.above:g}"
        else:
            text = (
                f"{self.low:g} or more" if self.whole else f"a finite number, {self.low:g} or more"
            )
            text = f"an odd number from {self.low:g}" if self.odd else text
        return text + (", or None" if self.none else "")

    @property
    def offered(self) -> tuple[float, float]:
        """Range of a slider or box."""
        low = self.low if self.low is not None else self.above
        low, high = 0 if low is None else low, 1_000_000 if self.high is None else self.high
        return self.span or (low, high)

    def snap(self, value: float) -> float:
        """Bring a number to the nearest one that a slider offers."""
        (low, high), step = self.offered, self.step or 1
        found = min(low + round((min(max(value, low), high) - low) / step) * step, high)
        return round(found) if self.whole else round(found, self.decimals)

    def check(self, value: Any) -> None:
        """Refuse a value that is out of range, naming it and the remedy."""
        if value is None and self.none:
            return
        if self.options:
            if (value not in self.options or isinstance(value, bool)) and not self.loose:
                raise InputError(f"{self.name} is {value!r}; choose {self.range_text}.")
            return
        if not self.bounded:
            return
        for number in value if isinstance(value, tuple) else (value,):
            if not self._fits(number):
                raise InputError(f"{self.name} is {value}; give {self.range_text}.")

    def _fits(self, number: Any) -> bool:
        if isinstance(number, bool) or not isinstance(number, int | float):
            number = _as_number(number)
        fits = math.isfinite(number)
        fits &= self.low is None or number >= self.low
        fits &= self.above is None or number > self.above
        fits &= self.high is None or number <= self.high
        fits &= not self.whole or number % 1 == 0
        return bool(fits and (not self.odd or number % 2 == 1))


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def choice(default: Any, title: str, help: str, **more: Any) -> Any:
    """Declare a field of a frozen dataclass; ``more`` are fields of :class:`Choice`."""
    about = Choice(title=title, help=help, default=default, **more)
    return field(default=default, metadata=MappingProxyType({KEY: about}))


_KNOWN: dict[Any, Mapping[str, Choice]] = {}


def choices(cls: Any) -> Mapping[str, Choice]:
    """List the declared fields of a parameters class by name, in order."""
    if cls not in _KNOWN:
        declared = (f for f in fields(cls) if KEY in f.metadata)
        _KNOWN[cls] = MappingProxyType({f.name: replace(f.metadata[KEY], name=f.name)
                                        for f in declared})  # fmt: skip
    return _KNOWN[cls]


def check_choices(value: Any) -> None:
    """Check every declared field of a dataclass instance; lists become tuples first."""
    for name, about in choices(type(value)).items():
        given = getattr(value, name)
        if isinstance(about.default, tuple) and isinstance(given, list):
            given = tuple(given)
            object.__setattr__(value, name, given)
        elif about.options and isinstance(given, str):  # as a list to choose from shows it
            given = {str(option): option for option in about.options}.get(given, given)
            object.__setattr__(value, name, given)
        about.check(given)


def walk(cls: Any, prefix: str = "") -> Iterator[tuple[str, Choice]]:
    """Yield (path, choice) of a class and of the parameters classes inside it: "loss.lambda_hv"."""
    known = choices(cls)
    for f in fields(cls):
        if f.name in known:
            yield prefix + f.name, known[f.name]
            continue
        inner: Any = f.default_factory
        if is_dataclass(inner):
            yield from walk(inner, f"{prefix}{f.name}.")


def options(cls: Any) -> Mapping[str, Choice]:
    """List the choices that the command line offers, by path."""
    return {path: known for path, known in walk(cls) if known.option}


def described(cls: type[T]) -> type[T]:
    """Class decorator: write the declared fields into the docstring, as a Parameters section."""
    known: Mapping[str, Choice] = choices(cls)
    lines = ["Parameters", "----------"]
    for name, about in known.items():
        unit = f" [{about.unit}]" if about.unit else ""
        lines.append(f"{name} : {_type_of(about)}, default {about.default!r}")
        lines.append(f"    {about.help}{unit}")
    head, mark, rest = (inspect.getdoc(cls) or "").partition("Raises\n------")
    cls.__doc__ = "\n".join((head.rstrip(), "", *lines, "", mark + rest))
    return cls


def _type_of(about: Choice) -> str:
    if about.options:
        return "{" + ", ".join(map(json.dumps, about.options)) + "}"
    name = {"switch": "bool", "count": "int", "number": "float"}.get(about.kind)
    return name or type(about.default).__name__
