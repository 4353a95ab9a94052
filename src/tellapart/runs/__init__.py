"""One training, from its job to its folder."""
