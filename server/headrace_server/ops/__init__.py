"""What operators see: metrics, logs, health, reflection. A leaf: it knows none of the rooms it is handed to."""
