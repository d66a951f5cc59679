"""How rows that come late find their event: the search, the inbox where they wait, commits that look for each other."""
