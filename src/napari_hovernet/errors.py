"""Errors whose message can be shown to a user as it stands.

Every message names the offending value and says what to do about it.
"""

from __future__ import annotations


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
