"""The wire: stubs generated from protos/headrace/v1, committed, never edited. Users of the SDK need not look here."""
