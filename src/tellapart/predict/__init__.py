"""A finished model at work: the bundle, the predictor and its answers, without Keras or PyTorch."""
