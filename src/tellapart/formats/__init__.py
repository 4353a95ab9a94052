"""What image files say of themselves: their format, headers, structure and limits; no pixel is decoded."""
