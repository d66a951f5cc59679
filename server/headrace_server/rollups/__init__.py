"""What monitoring reads: volume, profiles of columns, performance and drift, by hour and by day."""
