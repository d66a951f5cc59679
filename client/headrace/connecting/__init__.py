"""The way to the service: channels, unary calls and streams of answers, each tried again by one table."""
