"""What each verb of the command line does, but for `train`, which is `runs/`."""
