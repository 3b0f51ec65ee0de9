"""Errors whose message can be shown to a user as it stands.

Every message names the offending value and says what to do about it.
"""

from __future__ import annotations

MOST_SHOWN = 200
"""Characters of a text out of a file that are shown."""


def plain(text: object, most: int = MOST_SHOWN) -> str:
    """Make a text out of a file fit for a terminal or panel: one line, cut, nothing acts.

    Control characters, those that turn the direction of writing, and halves of surrogates are
    written as ``\\x1b``; angle brackets stay, so panels show it as plain text.
    """
    words = str(text)
    shown = "".join(c if c.isprintable() else _escaped(c) for c in words[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class UserError(Exception):
    """A problem the user can act on; the text fits a dialog."""


class InputError(UserError, ValueError):
    """An image, label array, map or parameter cannot be used."""


class CheckpointError(UserError):
    """A model file cannot be read, is not what it claims, or does not fit."""


class OutputError(UserError):
    """A result cannot be written (no space, no permission, unknown format)."""


class DeviceError(UserError):
    """The requested device is not there or cannot do the work."""


class JobFailed(UserError):  # noqa: N818 - reads as an event in the job's life
    """A long job ended with an error; wraps what torch or the system raised.

    Never a ``RuntimeError``: generator workers of superqt swallow those.
    """
