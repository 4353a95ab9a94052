"""One module per thing a user does, joining the other rooms; no maths."""
