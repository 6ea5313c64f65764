"""Read an exported TopSpin program back: what the console will do in time, row by row.

Knows the language, not the writer: the text of the program, its lists and its parameter table are
all it is given.  Whatever it does not understand it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from nmrqb.errors import InputError
from nmrqb.files.pulse_programs.bruker_text import DURATION, LO, RELATION, UNITS, BrukerText
from nmrqb.files.pulse_programs.timeline import (
    Field,
    Interval,
    Mode,
    Node,
    Repeat,
    Timeline,
    looped,
    normalised,
    overlapping,
)

_PULSE = re.compile(r"\((\w+)(?::(sp\d+)| (pl\d+)) (ph\d+)(\^?)\):(f\d)")
_CENTRE = re.compile(r"\(center ((?:\([^()]*\):f\d ?)+)\)")
_GRADIENT = re.compile(r"(p\d+|\w+):gp\d+")
_GO = re.compile(r"(go=\d+|goscnp) (ph\d+)((?: cpd\d:f\d)*)")
_IF = re.compile(r'if "(l\d+) < 1" goto (\d+)')
_NEXT = re.compile(r"(\w+)\.inc")
_DELAY = re.compile(
    r"(\w+(?:\.\d+)?)((?: (?:do:f\d|pl\d+:f\d|cw:f\d|ph\d+|[ir]pp\d+|fq=\w+:f\d))*)"
    r"( wr #0 if #0 zd)?"
)


class BrukerProgram(BrukerText):
    """An exported program, to be run; made from its text (see `BrukerText`)."""

    def row(self, row: int, scan: int = 0) -> Timeline:
        """Return the timeline of one row (0 is the first one acquired) in one of its scans."""
        for k, timeline in enumerate(self.rows(scan)):
            if k == row:
                return timeline
        raise InputError("there is no such row", key="row", value=row)

    def rows(self, scan: int = 0) -> Iterator[Timeline]:
        """Yield the timelines of all rows in the order of acquisition, in one of their scans.

        Housekeeping between scans (literal waits with every channel off) is left out.
        """
        for _, _, timeline in self._guarded(scan):
            yield timeline

    def every_scan(self) -> Iterator[tuple[int, int, Timeline]]:
        """Yield row, scan and timeline of every scan of the rows that program their scans.

        Those are the rows that acquire without moving the phase lists on (goscnp); all others run
        one scan, and the console steps the lists.
        """
        for row, scan, timeline in self._guarded(None):
            if row in self.programmed:
                yield row, scan, timeline

    def _guarded(self, scan: int | None) -> Iterator[tuple[int, int, Timeline]]:
        try:
            yield from self._run(scan)
        except KeyError as error:
            raise InputError("is not defined", key=str(error.args[0])) from None

    def _run(self, wanted: int | None) -> Iterator[tuple[int, int, Timeline]]:
        """Yield row, scan and timeline; of one wanted scan, or of all that the program runs."""
        self.index = dict.fromkeys(self.lists, 0)
        self.on: dict[str, Field] = {}
        self.level: dict[str, str] = {}
        self.offset: dict[str, float] = {}
        #: entry of every phase list, as the program and the console have moved it on
        self.pointer = dict.fromkeys(self.phases, 0)
        self.programmed: set[int] = set()
        self._passes: dict[object, Timeline] = {}
        runs: dict[int, int] = {}
        position, nodes, written, row, scan = 0, list[Node](), True, -1, 0
        while position < len(self.code):
            statement = self.code[position]
            self.auto = (wanted or 0) if self._is_stepped(position) else 0
            if statement == "exit":
                break
            if match := _GO.fullmatch(statement):
                if written:
                    row, scan, written = row + 1, 0, False
                elif row not in self.programmed:
                    raise self._bad("a row that is not written")
                nodes.append(self._acquire(match))
                if match[1] == "goscnp":
                    self.programmed.add(row)
                    if wanted in (None, scan):
                        yield row, scan, normalised(tuple(nodes))
                    scan += 1
                else:
                    yield row, self.auto, normalised(tuple(nodes))
                    self._move(self.phases, int(self._given("NS")))
            elif match := LO.fullmatch(statement):
                start, count = self._loop(statement)
                runs[position] = runs.get(position, 0) + 1
                if runs[position] < count:
                    position = start
                    continue
                runs[position] = 0
            elif self._is_housekeeping(statement):
                nodes = []
                written = written or "wr #0" in statement
            elif inner := self._inner_loop(position, len(self.code)):
                nodes += self._repeat(position, inner)
                position = inner
            elif match := _IF.fullmatch(statement):
                if self.numbers[match[1]] < 1:
                    position = self._label(match[2])
                    continue
            else:
                nodes += self._statement(statement)
            position += 1
        if self.on:
            raise InputError("a channel is still on at the end", key=", ".join(self.on))
        if any(self.offset.values()):
            raise InputError("a channel is off its carrier at the end", key="fq")

    def _is_stepped(self, position: int) -> bool:
        """True within a scan that the console repeats, moving every phase list on (go=label)."""
        return any(start <= position <= end for start, end in self.stepped)

    def _loop(self, statement: str) -> tuple[int, int]:
        match = LO.fullmatch(statement)
        assert match
        count = int(self._given("NS")) if match[2] == "ns" else self.numbers[match[2]]
        return self._label(match[1]), count

    def _inner_loop(self, start: int, before: int) -> int | None:
        """Return the end of the outermost loop at `start` that ends before and never acquires."""
        ends = [
            end
            for end in self.loops.get(start, [])
            if end < before and not any(s.startswith("go") for s in self.code[start:end])
        ]
        return max(ends, default=None)

    def _repeat(self, start: int, end: int) -> Timeline:
        _, count = self._loop(self.code[end])
        # the loop tests at its end: a body that is entered runs
        count = max(count, 1)
        if not any("^" in s or "ipp" in s for s in self.code[start:end]):
            return (Repeat(count=count, body=self._block(start, end)),)
        return looped([self._pass(start, end) for _ in range(count)])

    def _pass(self, start: int, end: int) -> Timeline:
        """Return one pass of a loop that moves phase lists on, one object for equal passes."""
        code = self.code[start:end]
        if any(LO.fullmatch(s) or "pp" in s for s in code):
            return normalised(self._block(start, end))
        carets = re.findall(r"(ph\d+)(\^?)", " ".join(code))
        moved = {name: carets.count((name, "^")) for name, _ in carets}
        # all that a pass depends on: phases ahead, lengths of the row, channels that are on
        ahead = tuple(
            (name, tuple(self._phase(name, k) for k in range(n + 1))) for name, n in moved.items()
        )
        key = (start, ahead, tuple(self.index.values()), tuple(self.on.values()))
        if key not in self._passes:
            before = dict(self.pointer)
            self._passes[key] = normalised(self._block(start, end))
            self.pointer = before
        for name, n in moved.items():
            self._move((name,), n)
        return self._passes[key]

    def _block(self, start: int, end: int) -> Timeline:
        nodes: list[Node] = []
        position = start
        while position < end:
            if inner := self._inner_loop(position, end):
                nodes += self._repeat(position, inner)
                position = inner + 1
                continue
            statement = self.code[position]
            if match := _IF.fullmatch(statement):
                if self.numbers[match[1]] < 1:
                    position = self._label(match[2])
                    if not start < position <= end:
                        raise self._bad(statement)
                    continue
            elif LO.fullmatch(statement) or _NEXT.fullmatch(statement):
                raise self._bad(statement)
            else:
                nodes += self._statement(statement)
            position += 1
        return tuple(nodes)

    def _is_housekeeping(self, statement: str) -> bool:
        if statement == "ze":
            return True
        match = _DELAY.fullmatch(statement)
        if match is None or not DURATION.fullmatch(match[1]):
            return False
        self._switch(match[2].split())
        if self.on:
            raise InputError("a channel is on between scans", key=", ".join(self.on))
        return True

    def _statement(self, statement: str) -> Timeline:
        if match := _CENTRE.fullmatch(statement):
            shots = [self._pulse(text) for text in re.findall(r"\([^()]*\):f\d", match[1])]
            return self._with_others(overlapping(shots))
        if _PULSE.fullmatch(statement):
            return self._with_others(overlapping([self._pulse(statement)]))
        if match := _GRADIENT.fullmatch(statement):
            interval = Interval(half_ticks=self._half_ticks(match[1]), gradient=True)
            return self._with_others((interval,))
        if match := RELATION.fullmatch(statement):
            current = {n: v[self.index[n]] for n, v in self.lists.items()}
            self._relate(match[1], match[2], current)
            return ()
        if match := _NEXT.fullmatch(statement):
            self.index[match[1]] = (self.index[match[1]] + 1) % len(self.lists[match[1]])
            return ()
        if (match := _DELAY.fullmatch(statement)) and not match[3]:
            self._switch(match[2].split())
            return self._with_others((Interval(half_ticks=self._half_ticks(match[1])),))
        raise self._bad(statement)

    def _switch(self, words: list[str]) -> None:
        for word in words:
            what, _, channel = word.partition(":")
            if what == "do":
                self.on.pop(channel, None)
            elif what == "cw":
                self.on[channel] = self._field(channel, "continuous", None, self.level[channel])
            elif what.startswith("pl"):
                self.level[channel] = what
            elif what.startswith("ipp"):
                self._move((f"ph{what[3:]}",), 1)
            elif what.startswith("rpp"):
                self.pointer[f"ph{what[3:]}"] = 0
            elif what.startswith("fq="):
                self.offset[channel] = self.constants[what[3:]]

    def _move(self, names: Iterable[str], steps: int) -> None:
        for name in names:
            self.pointer[name] = (self.pointer[name] + steps) % len(self.phases[name])

    def _with_others(self, timeline: Timeline) -> Timeline:
        """Add the channels that are on all the while."""
        found: list[Node] = []
        for node in timeline:
            assert isinstance(node, Interval)
            fields = sorted([*node.fields, *self.on.values()], key=lambda f: f.nucleus)
            found.append(
                Interval(half_ticks=node.half_ticks, fields=tuple(fields), gradient=node.gradient)
            )
        return tuple(found)

    def _pulse(self, text: str) -> tuple[int, Field]:
        match = _PULSE.fullmatch(text)
        if match is None:
            raise self._bad(text)
        length, shape, level, phase, caret, channel = match.groups()
        mode: Mode = "shape" if shape else "pulse"
        field = self._field(channel, mode, phase, level or shape)
        if caret:
            self._move((phase,), 1)
        return self._half_ticks(length), field

    def _field(self, channel: str, mode: Mode, phase: str | None, level: str) -> Field:
        name = level.replace("sp", "spw") if level.startswith("sp") else level.replace("pl", "plw")
        base, power = self.powers[name]
        if base != channel:
            raise InputError(f"the power of {base} is used on {channel}", key=level)
        return Field(
            nucleus=self._given(f"NUC{channel[1]}"),
            mode=mode,
            phase_deg=None if phase is None else self._phase(phase),
            power=power,
            offset_hz=self.offset.get(channel, 0.0),
        )

    def _phase(self, name: str, ahead: int = 0) -> float:
        steps = self.phases[name]
        return steps[(self.pointer[name] + self.auto + ahead) % len(steps)] % 360.0

    def _half_ticks(self, name: str) -> int:
        entries = self.lists.get(name)
        time = self.times[name] if entries is None else entries[self.index[name]]
        halves = 2 * time / self.tick_s
        if halves != halves.to_integral_value():
            raise InputError("is not a whole number of ticks", key=name, value=time)
        return int(halves)

    def _acquire(self, match: re.Match[str]) -> Repeat:
        before = 2 * Decimal(self._given("DE")) * UNITS["u"] / self.tick_s
        points = int(self._given("TD")) // 2
        dwell = round(1 / (Decimal(self._given("SWH")) * self.tick_s))
        for word in match[3].split():
            cpd, _, channel = word.partition(":")
            if cpd[3:] != channel[1:]:
                raise self._bad(word)
            self.on[channel] = self._field(channel, "decoupling", None, self.level[channel])
        fields = tuple(sorted(self.on.values(), key=lambda f: f.nucleus))
        detection = Interval(
            half_ticks=2 * points * dwell,
            fields=fields,
            receiver_deg=self._phase(match[2]),
            points=points,
        )
        return Repeat(count=1, body=(Interval(half_ticks=int(before)), detection))
