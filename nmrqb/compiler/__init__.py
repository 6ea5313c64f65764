"""From what the experimenter wants to what the spectrometer does."""
