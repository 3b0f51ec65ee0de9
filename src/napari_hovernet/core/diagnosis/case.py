"""What is under diagnosis: images, labels, maps or targets, a model, a separation ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from ...errors import InputError
from ..data import stores
from ..data.items import dataset_of_arrays
from .predicting import Predictor
from .separating import Separator
from .setup import Setup

MAPS, TARGETS, PARTS = stores.MAPS, stores.TARGETS, stores.PARTS


@dataclass(frozen=True, eq=False)
class RawItem:
    """One image with all that was given for it, exactly as it was given.

    Parameters
    ----------
    name : str
    image : array (H, W, 3), optional
        Any dtype and range.
    labels : array (H, W), optional
        True instances.
    np : array (H, W), optional
        NP probability, or stored NP target.
    hv : array (2, H, W), optional
        Predicted HV, or stored HV target, of any dtype and convention.
    types : array (H, W), optional
        Type of each pixel.
    instances : array (H, W), optional
        Predicted instances, where they were cut elsewhere.
    features : array (N, D), optional
        Tokens of a frozen encoder.
    group, split : str
        Source image, and "train" or "val", where known.
    """

    name: str
    image: Any = None
    labels: Any = None
    np: Any = None
    hv: Any = None
    types: Any = None
    instances: Any = None
    features: Any = None
    group: str = ""
    split: str = ""

    @property
    def has(self) -> frozenset[str]:
        """Names of the arrays that are there."""
        return frozenset(name for name in PARTS if getattr(self, name) is not None)


class ItemSource(Protocol):
    """Items that are read one at a time; large sets are never held in memory."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the items."""
        ...

    @property
    def parts(self) -> frozenset[str]:
        """Names of the arrays (some of) the items have, of :data:`PARTS`."""
        ...

    def read(self, index: int) -> RawItem:
        """Read one item.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        ...


class ArrayItems:
    """Items out of stacks or lists of arrays; arrays in a stack may be memory-mapped.

    Parameters
    ----------
    names : sequence of str, optional
        Default "image 0", "image 1" ...
    **stacks : array or sequence of arrays, optional
        By names of :data:`PARTS`: (N, ...) or a list of N; one single array is a list of one.
        ``hv`` may be channel last.

    Raises
    ------
    InputError
        If nothing is given, numbers differ, or an array has no fitting shape.

    Examples
    --------
    >>> ArrayItems(labels=np.zeros((3, 8, 8), int)).names
    ('image 0', 'image 1', 'image 2')
    """

    def __init__(self, names: Sequence[str] | None = None, **stacks: Any) -> None:
        if all(stack is None for stack in stacks.values()):
            raise InputError(f"There is nothing to diagnose; give {', '.join(PARTS)} or a model.")
        self._data = dataset_of_arrays(names, **stacks)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the items."""
        return tuple(item.name for item in self._data)

    @property
    def parts(self) -> frozenset[str]:
        """Names of the arrays the items have."""
        return self._data.has

    def read(self, index: int) -> RawItem:
        """Return one item."""
        item = self._data[index]
        return RawItem(item.name, **item.read())


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that is under diagnosis; any part may be missing.

    Parameters
    ----------
    items : ItemSource, optional
    held_out : ItemSource, optional
        Images of the other side of the split, for leaks.
    kind : {"maps", "targets"}
        What ``np`` and ``hv`` of the items are.
    predictor : Predictor, optional
        The network.
    model_error : str
        Why the model could not be loaded, "" if it could (or there is none).
    separator : Separator, optional
        What the user asks about; checks of the model use the default without it.
    loss, augmentation : object, optional
        See :func:`.loss_checks` and :func:`.augmentation_checks`.
    n_types : int, optional
        Types there should be, background included.
    setup : Setup
    notes : tuple of str
    """

    items: ItemSource | None = None
    held_out: ItemSource | None = None
    kind: str = MAPS
    predictor: Predictor | None = None
    model_error: str = ""
    separator: Separator | None = None
    loss: Any = None
    augmentation: Any = None
    n_types: int | None = None
    setup: Setup = field(default_factory=Setup)
    notes: tuple[str, ...] = ()

    @property
    def has(self) -> frozenset[str]:
        """What there is to test.

        Names of arrays (np and hv as "maps" or "targets"), and "model", "separation", "loss",
        "augmentation", "held_out".
        """
        parts = set() if self.items is None else set(self.items.parts)
        if self.predictor is not None:
            parts.add("maps")
        if "hv" in parts or "np" in parts:
            both = {"hv", "np"} <= parts
            if self.kind == TARGETS:
                parts.add("targets")
            elif both:
                parts.add("maps")
            elif "hv" in parts:
                parts.add("hv_only")
        for name, there in (
            ("model", self.predictor is not None or bool(self.model_error)),
            ("separation", self.separator is not None),
            ("loss", self.loss is not None),
            ("augmentation", self.augmentation is not None),
            ("held_out", self.held_out is not None),
        ):
            if there:
                parts.add(name)
        return frozenset(parts)

    def with_setup(self, setup: Setup) -> Case:
        """Return the same case, read in another way."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Case(**{**values, "setup": setup})
