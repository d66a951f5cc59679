"""What log() takes: rows in a bounded buffer, what comes late, what sampling leaves out; each counted."""
