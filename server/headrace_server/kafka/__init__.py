"""A second front door: a Kafka topic whose messages take the path of every other batch, once."""
