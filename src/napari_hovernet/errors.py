"""Errors whose message can be shown to a user as it stands.

Every message names the offending value and says what to do about it.
"""

from __future__ import annotations

MOST_SHOWN, MOST_WORDS = 200, 3000
"""Characters of a text out of a file, and of a whole message, that are shown."""


def plain(text: object, most: int = MOST_SHOWN, keep: str = "") -> str:
    r"""Make a text out of a file fit for a terminal or panel: one line, cut, nothing acts.

    Control characters, those that turn the direction of writing, and halves of surrogates are
    written as ``\x1b``, except those to keep. Angle brackets stay: panels show it as plain text.
    """
    words = str(text)[: most + 1]
    shown = "".join(c if c.isprintable() or c in keep else _escaped(c) for c in words)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


OUT_OF_MEMORY = (
    "Out of memory: close other programs, or take a part of the image or a smaller tile; what was "
    "written before is kept."
)
_NO_ROOM = (
    "out of memory", "can't allocate memory", "not enough memory", "alloc_failed",
    "invalid buffer size", "canuse32bitindexmath", "int_max", "insufficient memory",
    "outofmemory", "unable to allocate", "bad_alloc", "bad allocation",
)  # fmt: skip
"""What torch, OpenCV, numpy and C++ say, in lower case, when something does not fit."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any library says that something did not fit into memory.

    Knows ``MemoryError``, the messages of CUDA, cuDNN, MPS and the CPU allocator, the 32-bit index
    limit of some kernels, and OpenCV's.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    foreign = isinstance(error, RuntimeError | TypeError) or type(error).__module__ == "cv2"
    text = str(error).lower() if foreign else ""
    return any(phrase in text for phrase in _NO_ROOM)


class UserError(Exception):
    """A problem the user can act on; the text fits a dialog, whatever names and files hold."""

    def __str__(self) -> str:
        return plain(super().__str__(), MOST_WORDS)


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
