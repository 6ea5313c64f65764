"""Read an exported VnmrJ sequence back: what the console will do in time, row by row.

Knows the functions of the pulse-sequence language, not the writer: the C text, the macro of the
arrays and the parameter table are all it is given.  Whatever it does not understand it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from nmrqb.errors import InputError
from nmrqb.files.pulse_programs.parameter_table import parse_table
from nmrqb.files.pulse_programs.timeline import (
    Field,
    Interval,
    Mode,
    Node,
    Repeat,
    Timeline,
    first_difference,
    looped,
    normalised,
    overlapping,
)

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_VALUE = r"[\w.]+"
_PHASE = r"zero|one|two|three|[tv]\d+"
_TABLE = re.compile(r"static int (\w+)\[\d+\] = \{([\d,\s]+)\};")
_DECLARED = re.compile(
    r'(?:double (\w+) = getval\("(\w+)"\)|int (\w+) = \(int\) \(getval\("(\w+)"\) \+ 0\.5\)|'
    r'int (\w+) = getval\("(\w+)"\) > 0\.5);'
)
_IF = re.compile(r"if \((\w+)(?:(?: - (\d+))? > 0)?\) \{")
_COUNT = re.compile(r"initval\(\(double\) \((\w+)(?: - (\d+))?\), (v\d+)\);")
_LOOP = re.compile(r"loop\((v\d+), (v\d+)\);")
_LEVEL = re.compile(rf"nq_(observe|decoupler)_level\(nq_level\((\w+), (\w+), ({_NUMBER})\)\);")
_SINGLE = re.compile(rf"(dec)?rgpulse\(({_VALUE}), ({_PHASE}), 0\.0, 0\.0\);")
_BOTH = re.compile(rf"simpulse\(({_VALUE}), ({_VALUE}), ({_PHASE}), ({_PHASE}), 0\.0, 0\.0\);")
_SHAPE = re.compile(rf'(dec)?shaped_pulse\("\w+", ({_VALUE}), ({_PHASE}), 0\.0, 0\.0\);')
_GRADIENT = re.compile(rf"zgradpulse\((\w+), ({_VALUE})\);")
_DELAY = re.compile(rf"delay\(({_VALUE})\);")
_START = re.compile(rf"startacq\(({_VALUE})\);")
_SET_TABLE = re.compile(r"settable\((t\d+), (\w+), (\w+)(?: \+ (\w+))?\);")
_FETCH = re.compile(r"getelem\((t\d+), (v\d+), (v\d+)\);")
_ARITHMETIC = re.compile(r"(assign|add|mult|mod4|incr)\((\w+)(?:, (\w+))?(?:, (\w+))?\);")
_OFFSET = re.compile(rf"(obs|dec)offset\((tof|dof)(?: \+ ({_NUMBER}))?\);")
_QUARTERS = ("zero", "one", "two", "three")
_OPENING = "void pulsesequence(void)\n{\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    condition: str
    less: int
    then: _Block
    otherwise: _Block


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    counter: str
    body: _Block


_Block: TypeAlias = tuple["str | _Branch | _Loop", ...]


class VarianProgram:
    """An exported sequence.

    Parameters
    ----------
    program : str
        The C text.
    macro : str
        The macro that sets the arrays.
    table : str
        Text of the parameter table.

    Raises
    ------
    InputError
        For a statement that is not understood.
    """

    def __init__(self, program: str, macro: str, table: str) -> None:
        self.table = parse_table(table, "parameter table")
        self.tick_s = Decimal(self._given("tick")) * Decimal("1e-6")
        self.arrays = {
            name: [Decimal(word) for word in values.split(",")]
            for name, values in re.findall(r"^(\w+)=([\d.,]+)$", macro, re.MULTILINE)
        }
        self.elements = max((len(v) for v in self.arrays.values()), default=1)
        if any(len(v) != self.elements for v in self.arrays.values()):
            raise InputError("must have as many entries as the others", key="array")
        if "\\" in program or "//" in program:
            raise InputError("must hold no continued lines and no line comments", key="program")
        bare = re.sub(r"/\*.*?\*/", "", program, flags=re.DOTALL)
        if [line for line in bare.splitlines() if line.lstrip().startswith("#")] != [
            "#include <standard.h>"
        ]:
            raise InputError("must include standard.h and nothing else", key="#include")
        head, opening, body = bare.partition(_OPENING)
        if not opening:
            raise InputError("has no pulsesequence", key="program")
        self.tables = {
            name: [int(word) for word in values.split(",")] for name, values in _TABLE.findall(head)
        }
        self.lines = [line.strip() for line in body.splitlines() if line.strip()]
        self.position = 0
        self.code = self._block(("}",))
        if self.position != len(self.lines):
            raise self._bad(self.lines[self.position])

    def _given(self, name: str) -> str:
        if name not in self.table:
            raise InputError("is missing in the parameter table", key=name)
        return self.table[name]

    @staticmethod
    def _bad(statement: str) -> InputError:
        return InputError("is not understood", key="statement", value=statement)

    def _block(self, ends: tuple[str, ...]) -> _Block:
        """Return the statements up to one of `ends`, which is passed over."""
        found: list[str | _Branch | _Loop] = []
        while self.position < len(self.lines):
            line = self.lines[self.position]
            self.position += 1
            if line in ends:
                return tuple(found)
            if match := _IF.fullmatch(line):
                then = self._block(("}", "} else {"))
                otherwise: _Block = ()
                if self.lines[self.position - 1] == "} else {":
                    otherwise = self._block(("}",))
                found.append(
                    _Branch(
                        condition=match[1], less=int(match[2] or 0), then=then, otherwise=otherwise
                    )
                )
            elif match := _LOOP.fullmatch(line):
                body = self._block((f"endloop({match[2]});",))
                found.append(_Loop(counter=match[1], body=body))
            else:
                found.append(line)
        raise InputError("has an open block", key="program")

    # ---- running it

    def row(self, row: int, scan: int = 0) -> Timeline:
        """Return the timeline of one array element in one of its scans."""
        self.values: dict[str, Decimal] = {}
        self.element, self.scan = row, scan
        self.counters: dict[str, int] = {}
        self.levels: dict[str, float] = {}
        self.phases: dict[str, list[int]] = {}
        self.offset: dict[str, float] = {}
        self._passes: dict[object, tuple[Timeline, dict[str, float]]] = {}
        self.counters |= {name: k for k, name in enumerate(_QUARTERS)} | {"ct": scan}
        self.receiver: str | None = None
        self.on: dict[str, Field] = {}
        self.acquired = 0
        try:
            timeline = self._run(self.code)
        except KeyError as error:
            raise InputError("is not defined", key=str(error.args[0])) from None
        if self.on:
            raise InputError("a channel is still on at the end", key=", ".join(self.on))
        if any(self.offset.values()):
            raise InputError("a channel is off its carrier at the end", key="offset")
        if self.acquired != 1:
            raise InputError("must acquire once", key="acquire")
        return normalised(timeline)

    def rows(self, scan: int = 0) -> Iterator[Timeline]:
        """Yield the timelines of all array elements."""
        for k in range(self.elements):
            yield self.row(k, scan)

    def every_scan(self) -> Iterator[tuple[int, int, Timeline]]:
        """Yield row, scan and timeline of every scan of every array element."""
        scans = int(self._given("nt"))
        for k in range(self.elements):
            for scan in range(scans):
                yield k, scan, self.row(k, scan)

    def _run(self, block: _Block) -> Timeline:
        nodes: list[Node] = []
        for part in block:
            if isinstance(part, _Branch):
                truth = self.values[part.condition] > part.less
                nodes += self._run(part.then if truth else part.otherwise)
            elif isinstance(part, _Loop) and _fetches(part.body):
                count = max(1, self.counters[part.counter])
                nodes += looped([self._pass(part.body) for _ in range(count)])
            elif isinstance(part, _Loop):
                body = self._run(part.body)
                again = self._run(part.body)
                if first_difference(normalised(body), normalised(again)):
                    raise InputError("does not repeat itself", key="loop")
                nodes.append(Repeat(count=max(1, self.counters[part.counter]), body=body))
            else:
                nodes += self._statement(part)
        return tuple(nodes)

    def _pass(self, body: _Block) -> Timeline:
        """Return one pass of a loop that fetches from a table, one object for equal passes."""
        simple = [part for part in body if isinstance(part, str)]
        fetched = [k for k, part in enumerate(simple) if _FETCH.fullmatch(part)]
        if len(simple) < len(body) or any(_takes_time(s) for s in simple[min(fetched) :]):
            return normalised(self._run(body))
        # nothing behind the first fetch takes time: the variables of the start tell everything
        places = {match[2] for part in simple if (match := _FETCH.fullmatch(part))}
        key = (
            id(body),
            tuple((k, v) for k, v in self.counters.items() if k not in places),
            tuple(self.levels.items()),
        )
        if key not in self._passes:
            kept = dict(self.counters)
            timeline = normalised(self._run(body))
            self._passes[key] = timeline, dict(self.levels)
            self.counters = kept
        for part in simple:
            if _FETCH.fullmatch(part) or _ARITHMETIC.fullmatch(part):
                self._command(part)
        timeline, self.levels = self._passes[key][0], dict(self._passes[key][1])
        return timeline

    def _statement(self, line: str) -> Timeline:
        if match := _DELAY.fullmatch(line):
            return (self._interval(match[1]),)
        if match := _SINGLE.fullmatch(line):
            channel = "decoupler" if match[1] else "observe"
            return overlapping([self._shot(channel, "pulse", match[2], match[3])])
        if match := _BOTH.fullmatch(line):
            return overlapping(
                [
                    self._shot("observe", "pulse", match[1], match[3]),
                    self._shot("decoupler", "pulse", match[2], match[4]),
                ]
            )
        if match := _SHAPE.fullmatch(line):
            channel = "decoupler" if match[1] else "observe"
            return overlapping([self._shot(channel, "shape", match[2], match[3])])
        if match := _GRADIENT.fullmatch(line):
            self._given(match[1])
            return (self._interval(match[2], gradient=True),)
        if match := _START.fullmatch(line):
            return (self._interval(match[1]),)
        if line == "acquire(np, 1.0 / sw);":
            return (self._acquire(),)
        self._command(line)
        return ()

    def _command(self, line: str) -> None:
        """Carry out a statement that takes no time."""
        if match := _DECLARED.fullmatch(line):
            name, source = (group for group in match.groups() if group)
            value = self._parameter(source)
            self.values[name] = value
        elif match := _COUNT.fullmatch(line):
            known = Decimal(match[1]) if match[1].isdigit() else self.values[match[1]]
            self.counters[match[3]] = int(known) - int(match[2] or 0)
        elif match := _LEVEL.fullmatch(line):
            calibrated = self.values[match[3]]
            self.levels[match[1]] = float(calibrated / Decimal(match[4])) ** 2
        elif match := _SET_TABLE.fullmatch(line):
            begin, size = self._whole(match[4] or "0"), self._whole(match[2])
            self.phases[match[1]] = self.tables[match[3]][begin : begin + size]
        elif match := _FETCH.fullmatch(line):
            self.counters[match[3]] = self.phases[match[1]][self.counters[match[2]]]
        elif match := _ARITHMETIC.fullmatch(line):
            self._compute(match[1], [word for word in match.groups()[1:] if word])
        elif match := _OFFSET.fullmatch(line):
            if match[2] != ("tof" if match[1] == "obs" else "dof"):
                raise self._bad(line)
            channel = "observe" if match[1] == "obs" else "decoupler"
            self.offset[channel] = float(match[3] or 0.0)
        elif match := re.fullmatch(r"setreceiver\((t\d+)\);", line):
            self.receiver = match[1]
        elif match := re.fullmatch(r"status\(([A-C])\);", line):
            on = self._given("dm")["ABC".index(match[1])] == "y"
            self._switch("decoupler", "decoupling" if on else None)
        elif line in ("xmtron();", "decon();"):
            self._switch("observe" if "xmtr" in line else "decoupler", "continuous")
        elif line in ("xmtroff();", "decoff();"):
            self._switch("observe" if "xmtr" in line else "decoupler", None)
        elif line not in (
            "obsunblank();", "obsblank();", "decunblank();", "decblank();", "endacq();",
        ):  # fmt: skip
            raise self._bad(line)

    def _whole(self, text: str) -> int:
        return int(text) if text.isdigit() else int(self.values[text])

    def _compute(self, what: str, words: list[str]) -> None:
        """Carry out real-time arithmetic; the last variable named takes the result."""
        if len(words) != {"incr": 1, "assign": 2, "mod4": 2, "add": 3, "mult": 3}[what]:
            raise self._bad(f"{what}({', '.join(words)});")
        a, b = self.counters[words[0]], self.counters[words[-2]] if len(words) == 3 else 0
        self.counters[words[-1]] = {
            "incr": a + 1,
            "assign": a,
            "mod4": a % 4,
            "add": a + b,
            "mult": a * b,
        }[what]

    def _parameter(self, name: str) -> Decimal:
        if name in self.arrays:
            return self.arrays[name][self.element]
        text = self._given(name)
        if name in ("pw90", "pp"):
            return Decimal(text) * Decimal("1e-6")
        return Decimal(text) if re.fullmatch(r"[\d.]+", text) else Decimal(0)

    def _switch(self, channel: str, mode: Mode | None) -> None:
        if mode is None:
            self.on.pop(channel, None)
        else:
            self.on[channel] = self._field(channel, mode, None)

    def _field(self, channel: str, mode: Mode, phase_deg: float | None) -> Field:
        name = self._given("tn" if channel == "observe" else "dn")
        match = re.fullmatch(r"([A-Z][a-z]?)(\d+)", name)
        if match is None:
            raise InputError("is no nucleus", key="tn", value=name)
        return Field(
            nucleus=match[2] + match[1],
            mode=mode,
            phase_deg=phase_deg,
            power=self.levels[channel],
            offset_hz=self.offset.get(channel, 0.0),
        )

    def _shot(self, channel: str, mode: Mode, length: str, phase: str) -> tuple[int, Field]:
        return self._half_ticks(length), self._field(channel, mode, self._phase(phase))

    def _phase(self, name: str) -> float:
        if name in self.counters:
            return 90.0 * self.counters[name]
        steps = self.phases[name]
        return 90.0 * steps[self.scan % len(steps)]

    def _half_ticks(self, text: str) -> int:
        time = Decimal(text) if text[0].isdigit() else self.values[text]
        halves = 2 * time / self.tick_s
        if halves != halves.to_integral_value():
            raise InputError("is not a whole number of ticks", key=text, value=time)
        return int(halves)

    def _interval(self, text: str, *, gradient: bool = False) -> Interval:
        fields = tuple(sorted(self.on.values(), key=lambda f: f.nucleus))
        return Interval(half_ticks=self._half_ticks(text), fields=fields, gradient=gradient)

    def _acquire(self) -> Interval:
        if self.receiver is None:
            raise InputError("has no phase", key="receiver")
        self.acquired += 1
        points = int(self._given("np")) // 2
        dwell = round(1 / (Decimal(self._given("sw")) * self.tick_s))
        return Interval(
            half_ticks=2 * points * dwell,
            fields=tuple(sorted(self.on.values(), key=lambda f: f.nucleus)),
            receiver_deg=self._phase(self.receiver),
            points=points,
        )


def _fetches(block: _Block) -> bool:
    """True where a block fetches from a table, so that its passes may differ."""
    for part in block:
        if isinstance(part, _Branch):
            if _fetches(part.then) or _fetches(part.otherwise):
                return True
        elif isinstance(part, _Loop):
            if _fetches(part.body):
                return True
        elif _FETCH.fullmatch(part):
            return True
    return False


def _takes_time(line: str) -> bool:
    return not (_FETCH.fullmatch(line) or _ARITHMETIC.fullmatch(line))
