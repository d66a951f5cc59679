"""Pre-production: datasets, published whole as jobs, completed by id, and dropped whole."""
