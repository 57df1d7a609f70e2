"""stream-filter: a toll gate on Kafka in front of a language model."""

__version__ = "0.1.0"
