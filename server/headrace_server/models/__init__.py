"""The registry: what models exist, what their rows look like, and the tables made for them."""
