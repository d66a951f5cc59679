"""How fast headrace is, beside its peers, in one run on one database; `make bench` starts it."""
