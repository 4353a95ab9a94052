"""Many photos on many machines with Ray: predicting, embedding and training from a list of addresses of photos."""
