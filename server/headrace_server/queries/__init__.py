"""Reading back: events by id, by time and filters, and what a model has stored."""
