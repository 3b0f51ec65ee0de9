"""The science: networks, HV, separation, metrics. Knows neither Qt nor napari."""
