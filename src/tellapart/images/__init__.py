"""Untrusted bytes to upright RGB images at a size; the only room that decodes."""
