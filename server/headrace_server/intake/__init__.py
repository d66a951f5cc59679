"""The edge: streams, calls and their bounds; from bytes on the wire to validated batches that wait for a commit."""
