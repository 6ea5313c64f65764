"""Pulse programs for consoles: written from pulse sequences, and read back independently."""
