"""Fine-tuning: data, augmentation, the training loop and what it writes down."""
