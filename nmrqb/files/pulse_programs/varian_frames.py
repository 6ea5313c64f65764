"""Real-time arithmetic of VnmrJ that steps the phases of a channel with the flips of a frame.

A table holds the frame (0 or 2 quarter turns) behind every flip of every scan of a row.  At a flip
the next entry is fetched, and the phases that the channel uses are formed from it.
"""

from __future__ import annotations

from collections.abc import Callable

from nmrqb.files.pulse_programs.job import Job, Ticks

#: flips of a scan, place in the table, frame; then the four phases in the frame
COUNT, PLACE, FRAME, PHASES = "v35", "v36", "v37", ("v38", "v39", "v40", "v41")
TABLE = "t3"
ARRAY = "nq_frames"
QUARTERS = ("zero", "one", "two", "three")


class FrameTable:
    """The table of one program.

    Parameters
    ----------
    job : Job
        Its rows flip the frame of one nucleus.
    integer : callable
        One whole number for each row -> the C expression that holds it.
    """

    def __init__(self, job: Job, integer: Callable[[Ticks], str]) -> None:
        scans = job.compiled.protocol.scans
        self.entries: list[int] = []
        begins, sizes, counts = [], [], []
        for patterns in job.patterns:
            frames: list[int] = []
            if patterns is not None:
                frames = (2 * (patterns.flips.cumsum(axis=1) % 2)).ravel().tolist()
            begins.append(len(self.entries))
            counts.append(len(frames) // scans)
            # no table is empty: the one of a row without flips is never looked into
            self.entries += frames or [0]
            sizes.append(len(self.entries) - begins[-1])
        self.begin, self.size, self.count = (
            integer(tuple(values)) for values in (begins, sizes, counts)
        )
        self.used: set[int] = set()

    def phase(self, quarter: int) -> str:
        """Return the real-time variable of a phase in the frame."""
        self.used.add(quarter)
        return PHASES[quarter]

    def at_start(self) -> list[str]:
        """Return statements at the start of a scan: no flip yet."""
        return [
            f"settable({TABLE}, {self.size}, {ARRAY} + {self.begin});",
            f"initval((double) ({self.count}), {COUNT});",
            f"mult(ct, {COUNT}, {PLACE});",
            f"assign(zero, {FRAME});",
            *self._phases(),
        ]

    def at_flip(self) -> list[str]:
        """Return statements that fetch the frame behind a flip."""
        return [
            f"getelem({TABLE}, {PLACE}, {FRAME});",
            f"incr({PLACE});",
            *self._phases(),
        ]

    def _phases(self) -> list[str]:
        found = []
        for quarter in sorted(self.used):
            variable = PHASES[quarter]
            found += [
                f"add({FRAME}, {QUARTERS[quarter]}, {variable});",
                f"mod4({variable}, {variable});",
            ]
        return found

    def declaration(self) -> list[str]:
        """Return the C array of the frames of all rows."""
        lines = [f"static int {ARRAY}[{len(self.entries)}] = {{"]
        for start in range(0, len(self.entries), 40):
            lines.append("    " + ", ".join(map(str, self.entries[start : start + 40])) + ",")
        lines[-1] = lines[-1].removesuffix(",")
        return [*lines, "};"]
