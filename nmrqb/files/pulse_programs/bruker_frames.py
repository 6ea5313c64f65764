"""Phase lists of TopSpin that step with the flips of a frame.

The flips cut a program into regions: what stands between two flips, or between a flip and the begin
or end of a loop with flips.  Within one run of a region the frame does not change.  Each region has
a list of its own for every phase that it uses, with one entry for each run; a caret behind the last
pulse that uses a list moves its pointer on, so that a hardware loop stays a loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nmrqb.compiler.flip_patterns import has_flips
from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.job import Job
from nmrqb.files.pulse_programs.rows import Events
from nmrqb.sequence.events import Loop, PhaseFlip

#: region and phase in degrees
Key = tuple[int, float]


class FrameLists:
    """The lists of one program.

    Parameters
    ----------
    job : Job
        Its rows flip the frame of one nucleus.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.region = 0
        self.names: dict[Key, str] = {}
        self._last: dict[str, tuple[int, int]] = {}
        #: of each row and region: the frames of its runs, all scans
        self._runs = [
            _runs_of_row(events, None if p is None else p.flips.tolist(), self._scans)
            for events, p in zip(job.program.events, job.patterns, strict=True)
        ]

    @property
    def _scans(self) -> int:
        return self.job.compiled.protocol.scans

    def use(self, phase_deg: float, name: str, line: int, depth: int) -> None:
        """Note that a list is used in a line, `depth` loops deep."""
        self.names[self.region, phase_deg] = name
        self._last[name] = (line, depth)

    def close(self, lines: list[str], depth: int) -> None:
        """End a region: its lists move on behind their last pulses.

        Raises
        ------
        LimitError
            Where that pulse is repeated by a loop without flips.
        """
        for (region, _), name in self.names.items():
            if region != self.region:
                continue
            line, at = self._last[name]
            if at != depth:
                raise LimitError(
                    "a loop without flips must hold no pulse on the nucleus whose frame is flipped "
                    "unless another such pulse follows it before the next flip"
                )
            lines[line] = lines[line].replace(f"{name})", f"{name}^)")
        self.region += 1

    def offsets(self) -> dict[tuple[int, ...], list[str]]:
        """Return the lists that begin at the same entries: entries of the rows -> names."""
        found: dict[tuple[int, ...], list[str]] = {}
        for (region, _), name in self.names.items():
            begin, at = [], 0
            for runs in self._runs:
                begin.append(at)
                at += len(runs.get(region, ()))
            found.setdefault(tuple(begin), []).append(name)
        return found

    def entries(self) -> dict[str, list[float]]:
        """Return the phases of every list in degrees.

        Raises
        ------
        LimitError
            For a list that is longer than the spectrometer's longest.
        """
        most = self.job.spectrometer.maximum_phase_list
        found = {}
        for (region, phase), name in self.names.items():
            frames = [frame for runs in self._runs for frame in runs.get(region, ())]
            if len(frames) > most:
                raise LimitError(
                    f"a phase list (flips of all scans and rows) must hold at most {most} "
                    f"entries, but would hold {len(frames)}: take fewer scans, slices or rows",
                    key="phase list",
                    value=str(len(frames)),
                    limit=f"at most {most}",
                )
            # a region that no row ever enters needs an entry all the same
            found[name] = [(phase + 180.0 * frame) % 360.0 for frame in frames or [False]]
        return found


def _runs_of_row(
    events: Events, flips: Sequence[Sequence[bool]] | None, scans: int
) -> dict[int, list[bool]]:
    """Return region -> whether the frame is flipped in each of its runs, all scans of a row."""
    found: dict[int, list[bool]] = {}
    for scan in range(scans):
        tracer = _Tracer(iter(() if flips is None else flips[scan]), found)
        tracer.run(events, 0)
    return found


class _Tracer:
    def __init__(self, flips: Iterator[bool], found: dict[int, list[bool]]) -> None:
        self.flips, self.found = flips, found
        self.flipped = False

    def run(self, events: Events, region: int) -> int:
        """Follow events from the begin of a region and return the number of the next region."""
        for event in events:
            if isinstance(event, PhaseFlip):
                self._ran(region)
                self.flipped ^= next(self.flips)
                region += 1
            elif isinstance(event, Loop) and has_flips(event.body):
                self._ran(region)
                region += 1
                for _ in range(event.count):
                    self.run(event.body, region)
                region += _regions(event.body)
        self._ran(region)
        return region + 1

    def _ran(self, region: int) -> None:
        self.found.setdefault(region, []).append(self.flipped)


def _regions(events: Events) -> int:
    """Return the number of regions of a run of events."""
    inner = sum(1 + _regions(e.body) for e in events if isinstance(e, Loop) and has_flips(e.body))
    return 1 + inner + sum(isinstance(e, PhaseFlip) for e in events)
