"""What is wrong with a collection: copies, bursts, wrong labels, odd photos, shortcuts."""
