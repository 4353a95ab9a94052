"""Keras networks, the backend they run on, and their ONNX files."""
