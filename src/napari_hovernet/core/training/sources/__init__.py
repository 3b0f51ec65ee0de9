"""Readers of training data: images with labels, PanNuke folds, patches, family files."""

from .load import load_samples, samples_from_arrays

__all__ = ["load_samples", "samples_from_arrays"]
