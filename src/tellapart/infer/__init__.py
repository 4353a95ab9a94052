"""A trained model at work: the model folder on disk, and predictions from it without Keras or PyTorch."""
