"""From the user's files to images with labels; nothing here learns or draws charts."""
