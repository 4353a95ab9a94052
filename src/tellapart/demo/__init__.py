"""The demo's photos, drawn."""
