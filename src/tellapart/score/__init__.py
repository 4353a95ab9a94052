"""How good a model is: arrays in, records out; draws and writes nothing."""
