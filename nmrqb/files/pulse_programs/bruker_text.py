"""The text of an exported TopSpin program: statements, labels, lists, relations, phases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from nmrqb.errors import InputError
from nmrqb.files.pulse_programs.parameter_table import parse_table

#: TopSpin's names: the channel of a calibrated power, its 90 degree pulse
_REFERENCE = {"plw1": ("f1", "p1"), "plw2": ("f2", "p3"), "plw3": ("f3", "p5")}
UNITS = {"s": Decimal(1), "m": Decimal("1e-3"), "u": Decimal("1e-6")}
_INCLUDES = ("#include <Avance.incl>", "#include <Grad.incl>")

DURATION = re.compile(r"(\d+(?:\.\d+)?)([smu])")
RELATION = re.compile(r'"(\w+) = ([^"]+)"')
_DERIVED = re.compile(r"(plw\d)\*pow\((p\d+)/(p\d+),2\)")
_LIST = re.compile(r"define list<(delay|pulse|loopcounter)> (\w+) = <([$\w]+)>")
_PHASES = re.compile(r"(ph\d+) = (?:\((\d+)\) )?(\d+(?: \d+)*)")
_MORE_PHASES = re.compile(r"\d+(?: \d+)*")
LO = re.compile(r"lo to (\d+) times (l\d+|ns)")
_CONSTANT = re.compile(r"cnst\d+")


class BrukerText:
    """The statements of an exported program, with its lists, phases, powers and lengths.

    Parameters
    ----------
    program : str
        Text of the pulse program.
    lists : mapping
        ``"vd/name"`` -> text of the list.
    table : str
        Text of the parameter table.

    Raises
    ------
    InputError
        For a statement that is not understood.
    """

    def __init__(self, program: str, lists: Mapping[str, str], table: str) -> None:
        self.file_lists = lists
        self.table = parse_table(table, "parameter table")
        self.tick_s = Decimal(self._given("TICK")) * UNITS["u"]
        self.times: dict[str, Decimal] = {
            name.lower(): Decimal(value) * UNITS["u"]
            for name, value in self.table.items()
            if re.fullmatch(r"P\d|P\d\d", name) and re.fullmatch(r"[\d.]+", value)
        }
        self.powers: dict[str, tuple[str, float]] = {}
        self.numbers: dict[str, int] = {}
        self.lists: dict[str, list[Decimal]] = {}
        self.constants = {"0": 0.0}
        self.phases: dict[str, list[float]] = {}
        self._turn = 90.0
        self.code: list[str] = []
        self.labels: dict[str, int] = {}
        try:
            for raw in program.splitlines():
                self._read(raw)
        except KeyError as error:
            raise InputError("is not defined", key=str(error.args[0])) from None
        self.stepped = [
            (self._label(match[1]), position)
            for position, statement in enumerate(self.code)
            if (match := re.match(r"go=(\d+) ", statement))
        ]
        self.loops: dict[int, list[int]] = {}
        for position, statement in enumerate(self.code):
            if match := LO.fullmatch(statement):
                start = self._label(match[1])
                if start > position:
                    raise self._bad(statement)
                self.loops.setdefault(start, []).append(position)

    # ---- reading the text

    def _read(self, raw: str) -> None:
        line = raw.split(";", maxsplit=1)[0].strip()
        if not line or line in _INCLUDES:
            return
        if match := _LIST.fullmatch(line):
            self.lists[match[2]] = self._entries(match[1], match[3])
        elif match := _PHASES.fullmatch(line):
            self._turn = 360.0 / int(match[2] or 4)
            self.phases[match[1]] = [self._turn * int(word) for word in match[3].split()]
        elif self.phases and _MORE_PHASES.fullmatch(line):
            self.phases[next(reversed(self.phases))] += [self._turn * int(w) for w in line.split()]
        elif not self.code and (match := RELATION.fullmatch(line)):
            self._relate(match[1], match[2], {})
        else:
            label, _, rest = line.partition(" ")
            if label.isdigit():
                if label in self.labels:
                    raise self._bad(line)
                self.labels[label] = len(self.code)
                line = rest.strip()
            self.code.append(line)

    def _entries(self, kind: str, source: str) -> list[Decimal]:
        folder = {"delay": "vd", "pulse": "vp", "loopcounter": "vc"}[kind]
        name = self._given(source[1:]) if source.startswith("$") else source
        try:
            words = self.file_lists[f"{folder}/{name}"].split()
        except KeyError:
            raise InputError("there is no such list", key=f"{folder}/{name}") from None
        if kind == "loopcounter":
            return [Decimal(int(word)) for word in words]
        return [self._duration(word) for word in words]

    def _duration(self, text: str) -> Decimal:
        match = DURATION.fullmatch(text)
        if match is None:
            raise self._bad(text)
        return Decimal(match[1]) * UNITS[match[2]]

    def _relate(self, name: str, expression: str, at: Mapping[str, Decimal]) -> None:
        if name.startswith(("plw", "spw")):
            match = _DERIVED.fullmatch(expression)
            if match is None or _REFERENCE[match[1]][1] != match[2]:
                raise self._bad(expression)
            ratio = float(self.times[match[2]] / self.times[match[3]]) ** 2
            self.powers[name] = (_REFERENCE[match[1]][0], ratio)
        elif name.startswith("l"):
            source, _, less = expression.partition(" - ")
            value = int(source) if source.isdigit() else int(at[source])
            self.numbers[name] = value - int(less or 0)
        elif _CONSTANT.fullmatch(name):
            self.constants[name] = float(expression)
        elif expression in self.times:
            self.times[name] = self.times[expression]
        else:
            self.times[name] = self._duration(expression)

    def _given(self, name: str) -> str:
        if name not in self.table:
            raise InputError("is missing in the parameter table", key=name)
        return self.table[name]

    def _label(self, name: str) -> int:
        if name not in self.labels:
            raise InputError("there is no such label", key=name)
        return self.labels[name]

    @staticmethod
    def _bad(statement: str) -> InputError:
        return InputError("is not understood", key="statement", value=statement)
