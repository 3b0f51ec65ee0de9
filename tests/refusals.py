"""Calls that must be refused, each with the words that say why."""

from collections.abc import Callable
from typing import Any

import pytest

from napari_hovernet.errors import InputError


def refuses(
    words: str,
    call: Callable[..., Any],
    *given: Any,
    by: type[BaseException] = InputError,
    **named: Any,
) -> None:
    """Expect an error whose text matches ``words``."""
    with pytest.raises(by, match=words):
        call(*given, **named)
