"""What the columns of a model are, what it is for, and what the registry knows of it."""
