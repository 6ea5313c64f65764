"""Pulse programs for TopSpin.

Lengths, counts and powers are set by relations of the program itself: the operator calibrates one
pulse of each channel, and every other power follows from it.  A loop body of TopSpin runs at least
once (``lo to`` tests at its end), so a branch skips the loops of rows that have no repetition.
Where frames are flipped (see `bruker_frames`) nothing moves a phase list on but the program itself:
each row sets the pointers, and acquires by ``goscnp`` in a loop over the scans.
"""

from __future__ import annotations

import math

from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.bruker_frames import FrameLists
from nmrqb.files.pulse_programs.bruker_names import Numbers, phase_program
from nmrqb.files.pulse_programs.job import Job, Shot, Ticks, Walk
from nmrqb.files.pulse_programs.notes import NOT_RUN, notes_of
from nmrqb.files.pulse_programs.rows import Events
from nmrqb.files.pulse_programs.text import harmless, plain, seconds

#: wait at the start of every scan in which all decouplers are switched off and data are written
HOUSEKEEPING = "30m"
#: wait in which a phase pointer moves on, before a scan
STEP = "1u"
#: parameters of the calibrated pulse of f1, f2, f3: 90 degree length and power
CALIBRATED = (("p1", "plw1"), ("p3", "plw2"), ("p5", "plw3"))
#: power of decoupling on f1, f2, f3, and the 90 degree pulse at it
_DECOUPLING = (("plw8", "pcpd1"), ("plw12", "pcpd2"), ("plw16", "pcpd3"))


class BrukerWriter:
    """Writes one job; `text`, `lists` and `parameters` hold what came of it."""

    def __init__(self, job: Job) -> None:
        self.job, self.tick_s = job, job.spectrometer.tick_s
        self.channel = {n: k for k, n in enumerate(job.nuclei)}
        if len(self.channel) > len(CALIBRATED):
            raise LimitError(f"a program has at most {len(CALIBRATED)} channels")
        self.delays, self.lengths = Numbers("d"), Numbers("p")
        self.powers, self.phases = Numbers("plw"), Numbers("ph", 1, 30)
        self.shapes, self.counts = Numbers("sp", 40), Numbers("l")
        self.constants = Numbers("cnst")
        self.varying: dict[tuple[str, Ticks], str] = {}
        self.sites: set[int] = set()
        self.meaning: dict[str, list[str]] = {}
        self.lines: list[str] = []
        self.label = 10
        self.pending: int | None = None
        self.open: list[tuple[int | None, str, int | None]] = []
        self.frames = None if job.flipped is None else FrameLists(job)
        self.in_frames = False
        self.counters: list[str] = []
        self.cycle = job.cycle
        least = job.spectrometer.minimum_delay_s
        if job.dead_ticks // 2 * self.tick_s < least:
            raise LimitError(
                f"the wait before an acquisition must be at least {2e6 * least:g} us (two delays), "
                f"but is {1e6 * job.dead_ticks * self.tick_s:g} us"
            )
        self.body = self._program()

    # ---- the Console

    def delay(self, ticks: Ticks, label: str) -> None:
        """Wait."""
        name = self._length("d", ticks)
        self._means(name, label)
        self._say(name)

    def pulses(self, shots: tuple[Shot, ...]) -> None:
        """Give pulses with one common middle."""
        words = []
        for shot in shots:
            length = self._length("p", shot.ticks)
            self._means(length, f"{shot.nucleus} pulse")
            phase = self._frame(shot) if self._follows_frame(shot) else self._phase(shot)
            how = f"{self._power(shot.nucleus, shot.scale)} {phase}"
            words.append(f"({length} {how}):{self._f(shot.nucleus)}")
        self._say(words[0] if len(words) == 1 else f"(center {' '.join(words)})")

    def shape(self, nucleus: str, ticks: Ticks, power: float) -> None:
        """Give a shaped pulse."""
        shape = self.shapes.of(self._level(nucleus, math.sqrt(power)))
        length = self._length("p", ticks)
        self._means(length, f"{nucleus} inversion")
        self._say(f"({length}:{shape} {self.phases.of((0.0, (0,)))}):{self._f(nucleus)}")

    def gradient(self, site: int, on: Ticks, rest: Ticks) -> None:
        """Give a gradient pulse and wait for its recovery."""
        self.sites.add(site)
        length = self._length("p", on)
        self._means(length, "crusher gradient")
        self._say(f"{length}:gp{site + 1}")
        if any(rest):
            self.delay(rest, "recovery of the gradient")

    def saturation(self, nucleus: str, on: Ticks, off: Ticks, power: float) -> None:
        """Give continuous RF, then a short delay that switches it off."""
        f = self._f(nucleus)
        level = self._power(nucleus, math.sqrt(power))
        length = self._length("d", on)
        self._means(length, f"{nucleus} saturation")
        self._say(f"{length} {level}:{f} cw:{f} {self.phases.of((0.0, (0,)))}")
        self._say(f"{self._length('d', off)} do:{f}")

    def flip(self) -> None:
        """Flip the frame: the phase lists behind this step to their next entries."""
        self._end_region()

    def set_offset(self, nucleus: str, offset_hz: float, ticks: Ticks) -> None:
        """Wait, and meanwhile move a channel's frequency to an offset from its carrier."""
        length = self._length("d", ticks)
        self._means(length, "switches a frequency")
        to = self.constants.of(offset_hz) if offset_hz else "0"
        self._say(f"{length} fq={to}:{self._f(nucleus)}")

    def at_flips_edge(self) -> None:
        """Begin or end a loop with flips: the phase lists within it are its own."""
        self._end_region()

    def begin_loop(self, counts: Ticks) -> None:
        """Begin a loop; a branch skips it in rows without a repetition."""
        counter, once = self._counter(counts)
        skip = None
        if min(counts) == 0:
            skip = self._new_label()
            self._say(f'if "{counter} < 1" goto {skip}')
        if self.pending is None and not once:
            self.pending = self._new_label()
        self.open.append((None if once else self.pending, counter, skip))

    def end_loop(self) -> None:
        """End the innermost loop."""
        label, counter, skip = self.open.pop()
        if label is not None:
            self._say(f"lo to {label} times {counter}")
        if skip is not None:
            self.pending = skip

    # ---- names

    def _f(self, nucleus: str) -> str:
        if nucleus not in self.channel:
            raise LimitError(f"a pulse on {nucleus}: the register has no such nucleus")
        return f"f{self.channel[nucleus] + 1}"

    def _length(self, letter: str, ticks: Ticks) -> str:
        if len(set(ticks)) == 1:
            return (self.delays if letter == "d" else self.lengths).of(ticks[0])
        return self._list(letter, ticks)

    def _means(self, name: str, words: str) -> None:
        told = self.meaning.setdefault(name, [])
        if words and harmless(words) not in told:
            told.append(harmless(words))

    def _list(self, letter: str, values: Ticks) -> str:
        key = (letter, values)
        if key not in self.varying:
            mine = sum(1 for kind, _ in self.varying if kind == letter)
            self.varying[key] = f"nq{letter}{mine + 1}"
        return self.varying[key]

    def _counter(self, counts: Ticks) -> tuple[str, bool]:
        """Return the counter of a loop, and whether its body runs at most once.

        In a sweep of the cycles every count follows from the number of cycles, the one list.
        """
        if len(set(counts)) == 1:
            return self.counts.of(counts[0]), False
        values, fewer, once = counts, 0, max(counts) == 1
        if self.job.axis_name == "cycles":
            cycles = tuple(round(n) for n in self.job.axis[-len(counts) :])
            if counts == tuple(max(n - 1, 0) for n in cycles):
                values, fewer, once = cycles, 1, False
            elif counts == tuple(min(n, 1) for n in cycles):
                values, once = cycles, True
        counter = self.counts.of((values, fewer))
        less = f" - {fewer}" if fewer else ""
        relation = f'"{counter} = {self._list("l", values)}{less}"'
        if relation not in self.counters:
            self.counters.append(relation)
        return counter, once

    def _level(self, nucleus: str, scale: float) -> tuple[str, str]:
        """Return the nucleus and the length of a 90 degree pulse at a level (never executed)."""
        microseconds = 1e6 * self.job.spectrometer.channel(nucleus).pulse_90_s / scale
        return nucleus, self.lengths.of(f"{microseconds:.10g}u")

    def _power(self, nucleus: str, scale: float) -> str:
        return self.powers.of(self._level(nucleus, scale)).replace("plw", "pl")

    def _phase(self, shot: Shot) -> str:
        return self.phases.of((shot.phase_deg, self.cycle if shot.cycled else (0,)))

    def _follows_frame(self, shot: Shot) -> bool:
        return self.in_frames and shot.nucleus == self.job.flipped and not shot.is_dummy

    def _frame(self, shot: Shot) -> str:
        assert self.frames is not None
        name = self.phases.of(("frame", self.frames.region, shot.phase_deg))
        self.frames.use(shot.phase_deg, name, len(self.lines), len(self.open))
        return name

    def _end_region(self) -> None:
        if self.in_frames and self.frames is not None:
            self.frames.close(self.lines, len(self.open))

    def _new_label(self) -> int:
        self.label += 1
        return self.label

    def _say(self, statement: str) -> None:
        label = "" if self.pending is None else f"{self.pending} "
        self.lines.append(f"{label:<4}{statement}")
        self.pending = None

    # ---- the program

    def _program(self) -> list[str]:
        program = self.job.program
        off = " ".join(f"do:f{k + 1}" for k in range(len(self.channel)))
        write = f"    {HOUSEKEEPING} {off} wr #0 if #0 zd"
        receiver = self.phases.of(("receiver", self.cycle))
        body = ["1   ze"]
        if program.reference is not None:
            body += [f"2   {HOUSEKEEPING} {off}"]
            body += self._scan((program.reference,), f"go=2 {receiver}")
            body += [write, "@next"]
        body += [f"3   {HOUSEKEEPING} {off}", "@counters", "@frames"]
        self.in_frames = self.frames is not None
        if self.frames is None:
            body += self._scan(program.events, f"go=3 {receiver}")
        else:
            label = self._new_label()
            body += [f"{label:<4}{HOUSEKEEPING} {off}"]
            body += self._scan(program.events, f"goscnp {receiver}")
            stepped = [n for key, n in self.phases.given.items() if key[0] != "frame"]
            body += [f"    {HOUSEKEEPING} {off} {' '.join(f'ipp{n[2:]}' for n in stepped)}"]
            body += [f"    lo to {label} times ns"]
        body += [write, "@next"]
        rows = self.counts.of(("rows", len(program.rows)))
        body += [f"    lo to 3 times {rows}", f"4   {HOUSEKEEPING} {off}", "exit"]
        to_frames = self._to_frames()
        advance = [f"    {name}.inc" for name in self.varying.values()]
        counters = [f"    {relation}" for relation in self.counters]
        filled = {"@next": advance, "@counters": counters, "@frames": to_frames}
        return [line for part in body for line in filled.get(part, [part])]

    def _to_frames(self) -> list[str]:
        """Return statements that move the pointers of the frames to the first entry of a row."""
        if self.frames is None:
            return []
        found = []
        for begin, names in self.frames.offsets().items():
            found.append(f"    {HOUSEKEEPING} {' '.join(f'rpp{n[2:]}' for n in names)}")
            if any(begin):
                counter, _ = self._counter(begin)
                loop, skip = self._new_label(), self._new_label()
                found += [
                    f'    if "{counter} < 1" goto {skip}',
                    f"{loop:<4}{STEP} {' '.join(f'ipp{n[2:]}' for n in names)}",
                    f"    lo to {loop} times {counter}",
                    f"{skip:<4}{STEP}",
                ]
        return found

    def _scan(self, rows: tuple[Events, ...], go: str) -> list[str]:
        job = self.job
        self.lines = []
        Walk(job, self, cycled=len(self.cycle) > 1).tell(rows)
        self._end_region()
        # DE, the wait that belongs to go, takes its half of the dead time
        before = job.dead_ticks - self.de_ticks
        levels = " ".join(
            f"{_DECOUPLING[self.channel[n]][0].replace('plw', 'pl')}:{self._f(n)}"
            for n in job.acquire.decoupled
        )
        if before:
            self._means(self.delays.of(before), "dead time, with DE")
            self._say(f"{self.delays.of(before)} {levels}".rstrip())
        on = " ".join(f"cpd{self.channel[n] + 1}:{self._f(n)}" for n in job.acquire.decoupled)
        self._say(f"{go} {on}".rstrip())
        return self.lines

    @property
    def de_ticks(self) -> int:
        """Length of DE."""
        return self.job.dead_ticks - self.job.dead_ticks // 2

    @property
    def text(self) -> str:
        """The pulse program."""
        return "\n".join(
            [
                *self._head(),
                "",
                "#include <Avance.incl>",
                "#include <Grad.incl>",
                "",
                *self._relations(),
                "",
                *self._definitions(),
                "",
                *self.body,
                "",
                *self._phase_programs(),
                "",
            ]
        )

    def _head(self) -> list[str]:
        channels = {nucleus: self._f(nucleus) for nucleus in self.channel}
        notes = notes_of(self.job, channels, self._axis_list())
        return [
            f"; {self.job.stem}",
            f"; {NOT_RUN}",
            *(f";@ {key}: {value}" for key, value in notes.items()),
        ]

    def _axis_list(self) -> str:
        """Return the kind of list that holds the axis itself, if one does."""
        for (letter, values), name in self.varying.items():
            scale = 1.0 if letter == "l" else self.tick_s
            axis = self.job.axis[-len(values) :]
            off = [abs(v * scale - a) for v, a in zip(values, axis, strict=True)]
            near = max(off) <= (0.0 if letter == "l" else 0.51 * self.tick_s)
            if near and name == f"nq{letter}1":
                return {"l": "vc", "d": "vd", "p": "vp"}[letter]
        return ""

    def _entries(self, letter: str, values: Ticks) -> Ticks:
        """Return one entry for each row; the reference comes first and does not use its own."""
        if self.job.program.reference is None:
            return values
        return (0 if letter == "l" else min(values), *values)

    @property
    def lists(self) -> dict[str, str]:
        """List files: path below the folder of lists -> text."""
        found = {}
        for (letter, values), name in self.varying.items():
            folder = {"l": "vc", "d": "vd", "p": "vp"}[letter]
            lines = [
                str(entry) if letter == "l" else self._time(entry)
                for entry in self._entries(letter, values)
            ]
            found[f"{folder}/{self._list_file(name)}"] = "\n".join([*lines, ""])
        return found

    def _list_file(self, name: str) -> str:
        return f"{self.job.stem}_{name}"

    def _time(self, ticks: int) -> str:
        exact = seconds(ticks, self.tick_s)
        return f"{plain(exact)}s" if exact >= 1 else f"{plain(exact * 10**6)}u"

    @property
    def list_names(self) -> dict[str, str]:
        """Parameter -> list: those lists that a parameter of the data set names."""
        parameters = {"l": "VCLIST", "d": "VDLIST", "p": "VPLIST"}
        return {
            parameters[letter]: self._list_file(name)
            for (letter, _), name in self.varying.items()
            if name == f"nq{letter}1"
        }

    def _definitions(self) -> list[str]:
        kinds = {"l": "loopcounter", "d": "delay", "p": "pulse"}
        first = {"l": "$VCLIST", "d": "$VDLIST", "p": "$VPLIST"}
        found = []
        for (letter, _), name in self.varying.items():
            source = first[letter] if name == f"nq{letter}1" else ""
            found.append(
                f"define list<{kinds[letter]}> {name} = <{source or self._list_file(name)}>"
            )
        return found

    def _relations(self) -> list[str]:
        decoupling = []
        for nucleus in self.job.acquire.decoupled:
            channel = self.job.spectrometer.channel(nucleus)
            share = channel.decoupling_power_watt / channel.pulse_power_watt
            level, length = _DECOUPLING[self.channel[nucleus]]
            _, quarter = self._level(nucleus, math.sqrt(share))
            decoupling += [self._derived(level, nucleus, quarter), f'"{length} = {quarter}"']
        found = []
        for numbers in (self.lengths, self.delays):
            for value, name in numbers.given.items():
                shown = self._time(value) if isinstance(value, int) else value
                found.append(f'"{name} = {shown}"')
        for (nucleus, quarter), name in self.powers.given.items():
            found.append(self._derived(name, nucleus, quarter))
        for (nucleus, quarter), name in self.shapes.given.items():
            found.append(self._derived(name.replace("sp", "spw"), nucleus, quarter))
        for key, name in self.counts.given.items():
            if isinstance(key, int):
                found.append(f'"{name} = {key}"')
            elif key[0] == "rows":
                found.append(f'"{name} = {key[1]}"')
        found += [
            f'"{name} = {offset_hz:.10g}"' for offset_hz, name in self.constants.given.items()
        ]
        return [*found, *decoupling]

    def _derived(self, level: str, nucleus: str, quarter: str) -> str:
        """Return the relation of a power to the calibrated pulse: P90^2 P is constant."""
        length, full = CALIBRATED[self.channel[nucleus]]
        return f'"{level} = {full}*pow({length}/{quarter},2)"'

    def _phase_programs(self) -> list[str]:
        found = []
        frames = {} if self.frames is None else self.frames.entries()
        for key, name in self.phases.given.items():
            if name in frames:
                found += phase_program(name, frames[name])
                continue
            base, steps = key
            start = 0.0 if base == "receiver" else float(base)
            found += phase_program(name, [(start + 90.0 * step) % 360.0 for step in steps])
        return found
