"""Everything that learns: networks and their training with Keras, and heads on embeddings without it."""
