"""What monitoring reads: volume, profiles of columns and performance, by hour and by day."""
