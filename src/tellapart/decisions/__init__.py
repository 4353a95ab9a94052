"""What a person has decided about single photos: read, matched with the photos, and applied."""
