"""How many tokens stand before the patches: the choices by name, and what a wrong one does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..errors import InputError

GRID = 16
"""Patches along an edge of the ViT's input."""
PATCH_PX = 14
"""Edge of a patch in pixels of the maps."""
AS_FILE = "file"
HISTORICAL = "historical 1:257"
TOKEN_PREFIXES: Mapping[str, int | None] = MappingProxyType(
    {AS_FILE: None, "0": 0, "1": 1, "5": 5, HISTORICAL: 1}
)
"""Tokens before the first patch, by name of the choice; None = as the checkpoint says."""
PREFIX_WORDS: Mapping[str, str] = MappingProxyType(
    {
        AS_FILE: "as the checkpoint says",
        "0": "no prefix: the first token is a patch",
        "1": "CLS alone, then patches",
        "5": "CLS and four registers, then patches (H-optimus-0)",
        HISTORICAL: "the slice 1:257 that the first checkpoints were trained with; of 261 tokens "
        "it takes four registers for patches",
    }
)
"""What each choice means."""
_SHORT = {"historical": HISTORICAL}


def choice_named(name: str) -> str:
    """Return the full name of a choice.

    Parameters
    ----------
    name : str
        One of :data:`TOKEN_PREFIXES`, or "historical".

    Raises
    ------
    InputError
        If there is no such choice.

    Examples
    --------
    >>> choice_named("historical")
    'historical 1:257'
    """
    found = _SHORT.get(name, name)
    if found not in TOKEN_PREFIXES:
        raise InputError(
            f"The token prefix is {name!r}; choose one of {', '.join(TOKEN_PREFIXES)}."
        )
    return found


def prefix_of(choice: str, stored: int) -> int:
    """Return the number of tokens before the first patch.

    Parameters
    ----------
    choice : str
        See :func:`choice_named`.
    stored : int
        What the checkpoint says.

    Examples
    --------
    >>> prefix_of("file", 5), prefix_of("historical 1:257", 5), prefix_of("0", 5)
    (5, 1, 0)
    """
    prefix = TOKEN_PREFIXES[choice_named(choice)]
    return stored if prefix is None else prefix


def slice_words(prefix: int, n_tokens: int) -> str:
    """Say what a prefix that is not that of the tokens does to the maps; "" if it is.

    The patches are taken for the last 256 tokens, as every ViT has them.

    Examples
    --------
    >>> slice_words(5, 261)
    ''
    >>> slice_words(1, 261)[:64]
    'tokens 1:257 of 261 are read as patches, which are the last 256:'
    """
    patches = GRID * GRID
    off = n_tokens - patches - prefix
    if off <= 0:
        return ""
    last = prefix + patches
    start = (
        f"tokens {prefix}:{last} of {n_tokens} are read as patches, which are the last {patches}:"
    )
    return (
        f"{start} maps come out {off} columns ({off * PATCH_PX} px) to the right, wrapped into "
        "the next row, unless the decoder was trained so"
    )
