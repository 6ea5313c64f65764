"""Nuclei, relaxation times and the star-topology register."""
