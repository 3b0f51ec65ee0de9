"""The default model's weights and its model card; data, no code."""
