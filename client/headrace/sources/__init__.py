"""Where many rows come from at once: lists, frames, Arrow, files, read in chunks; which column of them is what."""
