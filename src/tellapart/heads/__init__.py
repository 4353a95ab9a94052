"""From embeddings and labels to a linear head, its probabilities, its novelty and its learning curve."""
