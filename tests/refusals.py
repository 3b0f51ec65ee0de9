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
) -> str:
    """Expect an error whose text matches ``words``; returns all of its text."""
    with pytest.raises(by, match=words) as refused:
        call(*given, **named)
    return str(refused.value)
