"""Training by epochs: recipes, plan, step, augmentation, checkpoints."""
