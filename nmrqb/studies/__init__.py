"""Whole jobs: the only room that joins plan, simulation, data, analysis and report."""
