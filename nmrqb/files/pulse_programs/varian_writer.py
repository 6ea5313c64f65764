"""Pulse sequences for VnmrJ and OpenVnmrJ: C, and a macro that sets the arrays.

Every array element calls the function anew, so that branches are C and only loops over cycles run
in the console.  Levels follow from one calibrated pulse of each channel.
"""

from __future__ import annotations

import math

from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.job import Job, Shot, Ticks, Walk
from nmrqb.files.pulse_programs.notes import NOT_RUN, notes_of
from nmrqb.files.pulse_programs.text import harmless, plain, seconds
from nmrqb.files.pulse_programs.varian_frames import QUARTERS, FrameTable
from nmrqb.sequence.events import Pulse

#: 90 degree length and level of the calibrated pulse: observe channel, first decoupler
CALIBRATED = (("pw90", "tpwr"), ("pp", "pplvl"))
_LEVEL = ("nq_observe_level", "nq_decoupler_level")
SHAPE = "nq_inversion"
#: places of statements that are known at the end of the walk
_AT_START, _AT_FLIP = "@start", "@flip"

_LEVEL_HELPER = """\
/* level (dB) at which a 90 degree pulse lasts `wanted` seconds instead of `calibrated` */
static double nq_level(double full, double calibrated, double wanted)
{
    return full + 20.0 * log10(calibrated / wanted);
}
"""
#: of one channel: coarse attenuator in whole dB, the rest by the linear modulator
_SET_HELPER = """\
static void {name}(double decibel)
{{
    double coarse = ceil(decibel - 1.0e-9);
    {prefix}power(coarse);
    {prefix}pwrf(4095.0 * pow(10.0, (decibel - coarse) / 20.0));
}}
"""
#: real-time variables v1, v2, ... of VnmrJ: two for each loop, the last for frames
_DEEPEST = 17


class VarianWriter:
    """Writes one job; `text` is the C program, `macro` sets its arrays."""

    def __init__(self, job: Job) -> None:
        self.job, self.tick_s = job, job.spectrometer.tick_s
        self.channel = {n: k for k, n in enumerate(job.nuclei)}
        if len(self.channel) > len(CALIBRATED):
            raise LimitError(
                f"a program for VnmrJ has {len(CALIBRATED)} channels, but this protocol needs "
                f"{len(self.channel)}: {', '.join(self.channel)}",
                key="channels",
                value=str(len(self.channel)),
                limit=f"at most {len(CALIBRATED)}",
            )
        self.varying: dict[tuple[str, Ticks], str] = {}
        self.sites: set[int] = set()
        self.meaning: dict[str, str] = {}
        self.lines: list[str] = []
        self.indent = 1
        self.level: dict[int, float] = {}
        self.depth = 0
        self.open: list[tuple[int | None, bool]] = []
        self.cycle = job.cycle
        self.frames: FrameTable | None = None
        self.body = self._program()

    # ---- the Console

    def delay(self, ticks: Ticks, label: str) -> None:
        """Wait."""
        text = self._length(ticks)
        self.meaning.setdefault(text, harmless(label))
        self._say(f"delay({text});")

    def pulses(self, shots: tuple[Shot, ...]) -> None:
        """Give pulses with one common middle."""
        for shot in shots:
            self._set_level(shot.nucleus, shot.scale)
        where = {self._number(shot.nucleus): shot for shot in shots}
        if len(where) == 1:
            (number, shot), *_ = where.items()
            name = ("rgpulse", "decrgpulse")[number]
            self._say(f"{name}({self._length(shot.ticks)}, {self._phase(shot)}, 0.0, 0.0);")
            return
        lengths = ", ".join(self._length(where[k].ticks) for k in (0, 1))
        phases = ", ".join(self._phase(where[k]) for k in (0, 1))
        self._say(f"simpulse({lengths}, {phases}, 0.0, 0.0);")

    def shape(self, nucleus: str, ticks: Ticks, power: float) -> None:
        """Give a shaped pulse."""
        self._set_level(nucleus, math.sqrt(power))
        name = ("shaped_pulse", "decshaped_pulse")[self._number(nucleus)]
        self._say(f'{name}("{SHAPE}", {self._length(ticks)}, zero, 0.0, 0.0);')

    def gradient(self, site: int, on: Ticks, rest: Ticks) -> None:
        """Give a gradient pulse and wait for its recovery."""
        self.sites.add(site)
        self._say(f"zgradpulse(nqg{site + 1}, {self._length(on)});")
        if any(rest):
            self._say(f"delay({self._length(rest)});")

    def saturation(self, nucleus: str, on: Ticks, off: Ticks, power: float) -> None:
        """Give continuous RF, then a short delay without."""
        self._set_level(nucleus, math.sqrt(power))
        prefix, begin, end = (("obs", "xmtron", "xmtroff"), ("dec", "decon", "decoff"))[
            self._number(nucleus)
        ]
        self._say(f"{prefix}unblank();")
        self._say(f"{begin}();")
        self._say(f"delay({self._length(on)});")
        self._say(f"{end}();")
        self._say(f"{prefix}blank();")
        self._say(f"delay({self._length(off)});")

    def flip(self) -> None:
        """Flip the frame where the table says so."""
        self._say(_AT_FLIP)

    def set_offset(self, nucleus: str, offset_hz: float, ticks: Ticks) -> None:
        """Move a channel's frequency to an offset from its carrier, and wait."""
        number = self._number(nucleus)
        name, carrier = (("obsoffset", "tof"), ("decoffset", "dof"))[number]
        self._say(f"{name}({carrier}{f' + {offset_hz:.10g}' if offset_hz else ''});")
        self.delay(ticks, "switches a frequency")

    def at_flips_edge(self) -> None:
        """Nothing: the table is looked into at flips only."""

    def begin_loop(self, counts: Ticks) -> None:
        """Begin a loop; in array elements without a repetition it is left out."""
        count, once = self._count(counts)
        guarded = min(counts) == 0
        if guarded:
            self._say(f"if ({count} > 0) {{")
            self.indent += 1
        number = None
        if not once:
            self.depth += 1
            if self.depth > _DEEPEST:
                raise LimitError(f"loops must be nested at most {_DEEPEST} deep")
            number = 2 * self.depth - 1
            self._say(f"initval((double) ({count}), v{number});")
            self._say(f"loop(v{number}, v{number + 1});")
            self.indent += 1
        # a level that was set before holds only in the first repetition
        self.level.clear()
        self.open.append((number, guarded))

    def end_loop(self) -> None:
        """End the innermost loop."""
        number, guarded = self.open.pop()
        self.level.clear()
        if number is not None:
            self.indent -= 1
            self._say(f"endloop(v{number + 1});")
            self.depth -= 1
        if guarded:
            self.indent -= 1
            self._say("}")

    # ---- names

    def _number(self, nucleus: str) -> int:
        if nucleus not in self.channel:
            raise LimitError(f"a pulse on {nucleus}: the register has no such nucleus")
        return self.channel[nucleus]

    def _length(self, ticks: Ticks) -> str:
        if len(set(ticks)) > 1:
            return self._array("d", ticks)
        text = plain(seconds(ticks[0], self.tick_s))
        return text if "." in text else f"{text}.0"

    def _array(self, letter: str, values: Ticks) -> str:
        key = (letter, values)
        if key not in self.varying:
            mine = sum(1 for kind, _ in self.varying if kind == letter)
            self.varying[key] = f"nq{letter}{mine + 1}"
        return self.varying[key]

    def _count(self, counts: Ticks) -> tuple[str, bool]:
        """Return the count of a loop in C, and whether its body runs at most once."""
        if len(set(counts)) == 1:
            return str(counts[0]), False
        if self.job.axis_name == "cycles":
            cycles = tuple(round(n) for n in self.job.axis[-len(counts) :])
            if counts == tuple(max(n - 1, 0) for n in cycles):
                return f"{self._array('l', cycles)} - 1", False
            if counts == tuple(min(n, 1) for n in cycles):
                return self._array("l", cycles), True
        return self._array("l", counts), max(counts) == 1

    def _set_level(self, nucleus: str, scale: float) -> None:
        number = self._number(nucleus)
        if self.level.get(number) == scale:
            return
        self.level[number] = scale
        self._say(f"{_LEVEL[number]}({self._level_of(nucleus, scale)});")

    def _level_of(self, nucleus: str, scale: float) -> str:
        length, full = CALIBRATED[self._number(nucleus)]
        wanted = self.job.spectrometer.channel(nucleus).pulse_90_s / scale
        return f"nq_level({full}, {length}, {wanted:.10e})"

    def _phase(self, shot: Shot) -> str:
        if shot.cycled:
            return "t1"
        if shot.is_dummy:
            return "zero"
        quarter = shot.phase_deg / 90.0
        if abs(quarter - round(quarter)) > 1e-9:
            near = 90.0 * round(quarter)
            raise LimitError(
                f"a phase must be a multiple of 90 degrees in this export (the nearest is "
                f"{near:g}), but is {shot.phase_deg:g}: use --to bruker"
            )
        whole = round(quarter) % 4
        if self.frames is not None and shot.nucleus == self.job.flipped:
            return self.frames.phase(whole)
        return QUARTERS[whole]

    def _say(self, statement: str) -> None:
        self.lines.append(f"{'    ' * self.indent}{statement}")

    # ---- the program

    def _program(self) -> list[str]:
        job, program = self.job, self.job.program
        walk = Walk(job, self, cycled=len(self.cycle) > 1)
        if program.reference is not None:
            self._say("if (is_reference) {")
            self.indent += 1
            walk.tell((program.reference,))
            self.indent -= 1
            self._say("} else {")
            self.indent += 1
            self.level.clear()
        if job.flipped is not None:
            self.frames = FrameTable(job, self._integer)
            self._say(_AT_START)
        walk.tell(program.events)
        self._fill_frames()
        if program.reference is not None:
            self.indent -= 1
            self._say("}")
        self.level.clear()
        for nucleus in job.acquire.decoupled:
            if self._number(nucleus) == 0:
                raise LimitError(f"{nucleus} cannot be observed and decoupled at once")
            channel = job.spectrometer.channel(nucleus)
            self._set_level(
                nucleus, math.sqrt(channel.decoupling_power_watt / channel.pulse_power_watt)
            )
        self._say(f"startacq({self._length((job.dead_ticks,))});")
        if job.acquire.decoupled:
            self._say("status(B);")
        self._say("acquire(np, 1.0 / sw);")
        self._say("endacq();")
        self._say("status(A);")
        return self.lines

    def _integer(self, values: Ticks) -> str:
        return str(values[0]) if len(set(values)) == 1 else self._array("l", values)

    def _fill_frames(self) -> None:
        """Put the arithmetic of the frames, known only now, where it belongs."""
        if self.frames is None:
            return
        filled = []
        for line in self.lines:
            mark = line.strip()
            statements = {_AT_START: self.frames.at_start, _AT_FLIP: self.frames.at_flip}
            if mark in statements:
                indent = line[: len(line) - len(mark)]
                filled += [indent + statement for statement in statements[mark]()]
            else:
                filled.append(line)
        self.lines = filled

    @property
    def text(self) -> str:
        """The C program."""
        channels = dict(zip(self.channel, ("observe", "decoupler"), strict=False))
        notes = notes_of(self.job, channels, "")
        cycled = len(self.cycle) > 1
        read = self._read_quarter() if cycled else 0
        tables = [
            f"static int read_phases[{len(self.cycle)}] = {self._braces(read)};" if cycled else "",
            f"static int receiver_phases[{len(self.cycle)}] = {self._braces(0)};",
        ]
        return "\n".join(
            [
                f"/* {self.job.stem} */",
                f"/* {NOT_RUN} */",
                *(f"/*@ {key}: {value} */" for key, value in notes.items()),
                "",
                "#include <standard.h>",
                "",
                *(line for line in tables if line),
                *([] if self.frames is None else self.frames.declaration()),
                "",
                *self._helpers(),
                "void pulsesequence(void)",
                "{",
                *self._declarations(),
                "",
                *([f"    settable(t1, {len(self.cycle)}, read_phases);"] if cycled else []),
                f"    settable(t2, {len(self.cycle)}, receiver_phases);",
                "    setreceiver(t2);",
                "    status(A);",
                *self.body,
                "}",
                "",
            ]
        )

    def _helpers(self) -> list[str]:
        """Return the functions that the body calls; a compiler complains about others."""
        found = [
            _SET_HELPER.format(name=name, prefix=prefix)
            for name, prefix in zip(_LEVEL, ("obs", "dec"), strict=True)
            if any(f"{name}(" in line for line in self.body)
        ]
        return [_LEVEL_HELPER, *found] if found else []

    def _declarations(self) -> list[str]:
        found = []
        for length, full in CALIBRATED[: len(self.channel)]:
            for name in (length, full):
                if any(name in line for line in self.body):
                    found.append(f'    double {name} = getval("{name}");')
        for site in sorted(self.sites):
            found.append(f'    double nqg{site + 1} = getval("nqg{site + 1}");')
        for (letter, _), name in self.varying.items():
            if letter == "l":
                found.append(f'    int {name} = (int) (getval("{name}") + 0.5);')
            else:
                found.append(f'    double {name} = getval("{name}");')
        if self.job.program.reference is not None:
            found.append('    int is_reference = getval("nqref") > 0.5;')
        return found

    def _read_quarter(self) -> int:
        read = self.job.program.events[0][-3]
        if not isinstance(read, Pulse):
            return 0
        return round(self.job.console_phase_deg(read.nucleus, read.phase_rad) / 90.0) % 4

    def _braces(self, start: int) -> str:
        return "{" + ", ".join(str((start + step) % 4) for step in self.cycle) + "}"

    @property
    def arrays(self) -> dict[str, list[str]]:
        """Array -> one entry for each row, the reference first."""
        has_reference = self.job.program.reference is not None
        found = {"nqref": ["1", *("0" for _ in self.job.program.rows)]} if has_reference else {}
        for (letter, values), name in self.varying.items():
            entries = values
            if has_reference:
                entries = (0 if letter == "l" else min(values), *values)
            found[name] = [
                str(e) if letter == "l" else plain(seconds(e, self.tick_s)) for e in entries
            ]
        if not found and len(self.job.program.rows) > 1:
            # equal rows are rows all the same
            found["nqrow"] = [str(k) for k in range(len(self.job.program.rows))]
        return found

    @property
    def macro(self) -> str:
        """A macro that creates and sets the arrays."""
        lines = [f'"{self.job.stem}: arrays of the rows"']
        for name, entries in self.arrays.items():
            kind = "integer" if name.startswith(("nql", "nqr")) else "delay"
            lines.append(f"create('{name}','{kind}')")
            lines.append(f"{name}={','.join(entries)}")
        joined = ",".join(self.arrays)
        if len(self.arrays) > 1:
            lines.append(f"array='({joined})'")
        elif joined:
            lines.append(f"array='{joined}'")
        return "\n".join([*lines, ""])
