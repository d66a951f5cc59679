"""Batches on their way: sealed, sent on a stream, kept until their ack, sent again."""
