"""A stranger's zip, read in place with limits: its directory, the names of its members, and their bytes."""
