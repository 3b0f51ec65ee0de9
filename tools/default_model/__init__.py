"""Parts of the default model's training: data, augmentation, loss."""
