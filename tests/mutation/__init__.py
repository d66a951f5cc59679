"""Mutation tests: changes made to a copy of the code that some test ought to notice."""
