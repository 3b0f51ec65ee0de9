"""Whole slides, block by block, with the result of one big image."""
