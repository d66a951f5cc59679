"""The late kinds: what comes to an event after it, in any order and at any time. One module a kind."""
