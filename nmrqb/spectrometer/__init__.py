"""The console and the probe as frozen values: channels, clock, limits."""
