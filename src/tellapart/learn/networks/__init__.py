"""One network a file, in plain Keras layers that run on every backend."""
