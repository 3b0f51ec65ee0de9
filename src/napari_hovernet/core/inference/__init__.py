"""From an image to maps; what runs a network, and torch with it, is loaded on first use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .maps import predict as predict
    from .maps import predict_steps as predict_steps


def __getattr__(name: str) -> Any:
    """Resolve what needs torch."""
    if name not in ("predict", "predict_steps"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import maps  # noqa: PLC0415 - loads torch

    return getattr(maps, name)
