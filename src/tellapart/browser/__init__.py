"""The classifier as a page for any browser, and a browser that is driven to see whether it answers rightly."""
