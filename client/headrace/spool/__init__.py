"""Sealed batches on disk until their ack, so that neither a killed process nor an outage of hours loses them."""
