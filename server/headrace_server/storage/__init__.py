"""The floor: connections, schema, and the database itself."""
