"""Trained models behind HTTP on one's own machine: `create_app`, the queue before the workers, and the server."""
