"""Patterns of flips of an export: drawn, listed for people, and told with their residue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmrqb.compiler.compile import CompiledProtocol
from nmrqb.compiler.flip_patterns import FlipPatterns, draw_patterns, flip_count
from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.flip_residue import FlipResidue
from nmrqb.files.pulse_programs.job import Job, phase_cycle
from nmrqb.files.pulse_programs.rows import Program


def patterns_of(
    compiled: CompiledProtocol, programs: Sequence[Program], seed: int, most: int
) -> dict[int, FlipPatterns | None]:
    """Return the patterns of every row of the sweep: one spawned generator for each row.

    Raises
    ------
    LimitError
        For a row with more flips in all its scans than a phase list or table may hold.
    """
    scans = compiled.protocol.scans
    for row, sequence in enumerate(compiled.sequences):
        count = flip_count(sequence.events)
        if scans * count > most:
            raise LimitError(
                f"the flips of all scans of a row must be at most {most} (a phase list), but are "
                f"{scans} x {count} in row {row}: take fewer scans, slices or cycles",
                key="phase list",
                value=str(scans * count),
                limit=f"at most {most}",
            )
    spawned = np.random.SeedSequence(seed).spawn(len(compiled.sequences))
    found = {}
    for program in programs:
        steps = len(phase_cycle(program, scans))
        for row in program.rows:
            found[row] = draw_patterns(
                compiled.sequences[row],
                scans,
                steps,
                np.random.default_rng(spawned[row]),
            )
    return found


def pattern_seed(compiled: CompiledProtocol, otherwise: int) -> int:
    """Return the seed of the patterns: the protocol's, else one that follows from its hash."""
    seed = compiled.protocol.simulation.seed
    return otherwise if seed is None else seed


def pattern_table(jobs: Sequence[Job], seed: int) -> str:
    """Return the table of all patterns: row of the sweep, scan, flips in the order of time."""
    lines = [
        "# Flips of the frame, scan by scan, in the order of time: 1 flips it, 0 does not.",
        f"# Seed {seed}; rows are those of the sweep.",
        "# ROW | SCAN | FLIPS",
    ]
    for job in jobs:
        for row, patterns in zip(job.program.rows, job.patterns, strict=True):
            if patterns is None:
                continue
            for scan, flips in enumerate(patterns.flips):
                lines.append(f"{row} | {scan} | {''.join('1' if f else '0' for f in flips)}")
    return "\n".join([*lines, ""])


def flip_notes(jobs: Sequence[Job], seed: int, residues: dict[int, FlipResidue]) -> list[str]:
    """Return what an operator should know about patterns of flips."""
    known = {
        row: patterns
        for job in jobs
        for row, patterns in zip(job.program.rows, job.patterns, strict=True)
        if patterns is not None
    }
    if not known:
        return []
    nucleus = next(iter(known.values())).nucleus
    scans = jobs[0].compiled.protocol.scans
    complete = [row for row, patterns in known.items() if patterns.is_complete]
    drawn = [row for row in known if row not in complete]
    found = []
    if complete:
        bound = max(residues[row].weight_bound for row in complete)
        found.append(
            f"frames of {nucleus}: rows {_listed(complete)} run all patterns of flips in their "
            f"shares of the {scans} scans, so that the mean is exact within {bound:.1g} eps"
        )
    if drawn:
        worst = max(residues[row].std_of_mean for row in drawn)
        found.append(
            f"frames of {nucleus}: every scan of rows {_listed(drawn)} has a random pattern of "
            f"flips (seed {seed}); the mean over {scans} scans is off by a standard deviation of "
            f"up to {worst:.2g} eps, which falls as 1/sqrt(scans)"
        )
    found.append(
        f"the patterns hold for {scans} scans of every row: with another number the mean is "
        "another one; export again"
    )
    return found


def _listed(rows: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(rows)))
