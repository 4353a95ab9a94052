"""A model for other runtimes, with the proof that it answers there as it does here."""
