"""A folder of photos as a project: its classes, a journal of what was done to it, and undo without limit."""
