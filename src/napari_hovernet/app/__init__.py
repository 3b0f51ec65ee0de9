"""Use cases and their state; knows neither Qt nor napari."""
