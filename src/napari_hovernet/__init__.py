"""HoVer-Net in napari: run it, see what it sees, and separate touching nuclei.

Importing the package is free: names are resolved on first use, so neither torch
nor Qt nor napari is loaded until something needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

_EXPORTS = {
    "BlobParams": "core.measure.blobs",
    "BlobReport": "core.measure.blobs",
    "CheckpointError": "errors",
    "Comparison": "core.measure.compare",
    "DiagnosisReport": "core.diagnosis",
    "Evaluation": "core.types",
    "Finding": "core.diagnosis",
    "HVConvention": "core.hv",
    "HVReading": "core.hv",
    "HoverLoss": "core.losses",
    "InferenceParams": "core.params",
    "InputError": "errors",
    "MagnitudeBands": "core.measure.magnitude",
    "MagnitudeReport": "core.measure.magnitude",
    "Maps": "core.types",
    "Model": "core.types",
    "ModelInfo": "core.types",
    "Progress": "core.types",
    "Separation": "core.types",
    "SeparationParams": "core.params",
    "Sweep": "core.measure.sweep",
    "SweepAxis": "core.measure.sweep",
    "TuneParams": "core.separation.tuning",
    "UserError": "errors",
    "blob_report": "core.measure.blobs",
    "compare": "core.measure.compare",
    "diagnose": "core.diagnosis",
    "evaluate": "core.measure.metrics",
    "hv_targets": "core.hv",
    "load_model": "core.checkpoint",
    "magnitude_loss": "core.losses",
    "magnitude_report": "core.measure.magnitude",
    "predict": "core.inference",
    "save_model": "core.checkpoint",
    "separate": "core.separation",
    "sweep": "core.measure.sweep",
    "tune": "core.separation.tuning",
}

__all__ = ["__version__", *sorted(_EXPORTS)]  # noqa: PLE0604 - all of them are strings

if TYPE_CHECKING:
    from .core.checkpoint import load_model as load_model
    from .core.checkpoint import save_model as save_model
    from .core.diagnosis import DiagnosisReport as DiagnosisReport
    from .core.diagnosis import Finding as Finding
    from .core.diagnosis import diagnose as diagnose
    from .core.hv import HVConvention as HVConvention
    from .core.hv import HVReading as HVReading
    from .core.hv import hv_targets as hv_targets
    from .core.inference import predict as predict
    from .core.losses import HoverLoss as HoverLoss
    from .core.losses import magnitude_loss as magnitude_loss
    from .core.measure.blobs import BlobParams as BlobParams
    from .core.measure.blobs import BlobReport as BlobReport
    from .core.measure.blobs import blob_report as blob_report
    from .core.measure.compare import Comparison as Comparison
    from .core.measure.compare import compare as compare
    from .core.measure.magnitude import MagnitudeBands as MagnitudeBands
    from .core.measure.magnitude import MagnitudeReport as MagnitudeReport
    from .core.measure.magnitude import magnitude_report as magnitude_report
    from .core.measure.metrics import evaluate as evaluate
    from .core.measure.sweep import Sweep as Sweep
    from .core.measure.sweep import SweepAxis as SweepAxis
    from .core.measure.sweep import sweep as sweep
    from .core.params import InferenceParams as InferenceParams
    from .core.params import SeparationParams as SeparationParams
    from .core.separation import separate as separate
    from .core.separation.tuning import TuneParams as TuneParams
    from .core.separation.tuning import tune as tune
    from .core.types import Evaluation as Evaluation
    from .core.types import Maps as Maps
    from .core.types import Model as Model
    from .core.types import ModelInfo as ModelInfo
    from .core.types import Progress as Progress
    from .core.types import Separation as Separation
    from .errors import CheckpointError as CheckpointError
    from .errors import InputError as InputError
    from .errors import UserError as UserError


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use."""
    if name in _EXPORTS:
        value = getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_EXPORTS])
