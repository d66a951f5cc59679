"""What the service sends back: events, columns, statistics."""
