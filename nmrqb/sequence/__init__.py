"""Pulse sequences: events in integer ticks, loops that stay loops."""
