"""The demo: a year of flights through headrace, scored by a real model, and the truth about them as they land."""
