"""What the experimenter wants, before any clock or channel."""
