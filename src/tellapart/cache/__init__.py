"""What is kept in the cache folder: what was seen of photos, and decoded photos; all of it can be made again."""
