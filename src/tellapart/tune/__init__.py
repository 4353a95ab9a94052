"""The search for settings: `tellapart tune`."""
