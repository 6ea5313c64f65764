"""Shipped entries, each computed once for all tests of a process."""

from functools import cache

from nmrqb.studies.reproduce.compute import compute_entry
from nmrqb.studies.reproduce.entry import read_entry


@cache
def computed(name):
    """Return the entry with its figure and its rows computed."""
    return compute_entry(read_entry(name))


def rows(name):
    """Return the computed rows of an entry by their names."""
    return {row.row.name: row for row in computed(name).rows}
