"""Thin widgets: editors with value/setValue/valueChanged, and panels."""
