"""Frozen networks by name, file or Hub, and the embeddings they make of photos."""
