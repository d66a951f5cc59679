"""The HTTP door: the same batch as Publish for whoever speaks JSON, and what operators look at."""
