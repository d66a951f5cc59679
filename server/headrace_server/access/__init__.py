"""Who may come in: keys, what each call asks of them, whose rows a caller's rows are, and the book of what was done."""
