"""What a user holds of a model: it logs, publishes, reads back; each a facet of one handle."""
