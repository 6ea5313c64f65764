"""The exported C compiles against the declared functions, and running it gives the sequences."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from exports import HOSTILE, SLOW, compiled, exportable, hostile_exports, legal_experiments
from hypothesis import given, settings

from nmrqb.files.pulse_programs.export import export
from nmrqb.files.pulse_programs.parameter_table import parse_table
from nmrqb.files.pulse_programs.sequence_timeline import sequence_timeline
from nmrqb.files.pulse_programs.timeline import (
    Field,
    Interval,
    Repeat,
    first_difference,
    looped,
    normalised,
    overlapping,
)

STUBS = Path(__file__).resolve().parent / "vnmrj_stubs"
FULL_DB = 55.0  # the calibrated levels of this console


@pytest.fixture(scope="session")
def gcc():
    found = shutil.which("gcc") or shutil.which("cc")
    if found:
        return found
    reason = "there is no C compiler (gcc or cc)"
    if os.environ.get("NMRQB_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    return pytest.skip(reason)


def built(gcc, text, folder):
    """Compile a sequence with the console of the tests; every warning is an error."""
    (folder / "sequence.c").write_text(text, encoding="ascii")
    program = folder / "console"
    subprocess.run(
        [gcc, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", STUBS,
         folder / "sequence.c", STUBS / "console.c", "-o", program, "-lm"],
        check=True,
    )  # fmt: skip
    return program


class Listener:
    """Rebuilds the timeline from the real-time program that the console prints, loops told once."""

    def __init__(self, tick_s, nuclei, scan):
        self.tick_s, self.nuclei = tick_s, nuclei
        self.coarse, self.fine, self.on = {}, {}, {}
        self.offset = {0: 0.0, 1: 0.0}
        self.receiver = None
        self.stack = [[]]
        # zero, one, two, three and ct by their numbers
        self.variables = {50: 0, 51: 1, 52: 2, 53: 3, 60: scan}
        self.tables = {}

    def listen(self, lines):
        """Carry out what was told; a loop that fetches from a table pass by pass."""
        position = 0
        while position < len(lines):
            word, *rest = lines[position].split()
            if word != "loop":
                self.hear(lines[position])
                position += 1
                continue
            end, depth = position, 0
            while True:
                depth += lines[end].startswith("loop") - (lines[end] == "end")
                if not depth:
                    break
                end += 1
            count, body = int(float(rest[0])), lines[position + 1 : end]
            assert count >= 1  # a console's loop may run at least once
            differ = any(line.startswith("getelem") for line in body)
            passes = []
            for _ in range(count if differ else 1):
                self.stack.append([])
                self.listen(body)
                passes.append(normalised(tuple(self.stack.pop())))
            if differ:
                self.stack[-1] += looped(passes)
            else:
                self.stack[-1].append(Repeat(count=count, body=passes[0]))
            position = end + 1

    def halves(self, word):
        exact = 2.0 * float(word) / self.tick_s
        assert abs(exact - round(exact)) < 1e-3
        return round(exact)

    def field(self, channel, mode, quarter):
        decibel = self.coarse[channel] - FULL_DB
        power = 10.0 ** (decibel / 10.0) * (self.fine[channel] / 4095.0) ** 2
        assert 0.0 < self.fine[channel] <= 4095.0
        if quarter is not None and int(quarter) < 0:
            quarter = self.variables[-int(quarter)]
            assert quarter in (0, 1, 2, 3)
        phase = None if quarter is None else 90.0 * int(quarter)
        return Field(
            nucleus=self.nuclei[channel],
            mode=mode,
            phase_deg=phase,
            power=power,
            offset_hz=self.offset[channel],
        )

    def compute(self, word, rest):
        numbers = [int(n) for n in rest]
        known = self.variables
        match word:
            case "assign":
                known[numbers[1]] = known[numbers[0]]
            case "add":
                known[numbers[2]] = known[numbers[0]] + known[numbers[1]]
            case "mult":
                known[numbers[2]] = known[numbers[0]] * known[numbers[1]]
            case "mod4":
                known[numbers[1]] = known[numbers[0]] % 4
            case "incr":
                known[numbers[0]] += 1
            case "getelem":
                known[numbers[2]] = self.tables[numbers[0]][known[numbers[1]]]

    def hear(self, line):
        word, *rest = line.split()
        nodes = self.stack[-1]
        fields = tuple(sorted(self.on.values(), key=lambda f: f.nucleus))
        match word:
            case "delay":
                nodes.append(Interval(half_ticks=self.halves(rest[0]), fields=fields))
            case "gradient":
                nodes.append(
                    Interval(half_ticks=self.halves(rest[0]), fields=fields, gradient=True)
                )
            case "pulse":
                assert not fields
                assert float(rest[4]) == 0.0
                shots = [
                    (self.halves(rest[2 * k]), self.field(k, "pulse", rest[2 * k + 1]))
                    for k in (0, 1)
                    if float(rest[2 * k])
                ]
                nodes += overlapping(shots)
            case "shape":
                assert not fields
                assert float(rest[3]) == 0.0
                shot = self.field(int(rest[0]), "shape", rest[2])
                nodes += overlapping([(self.halves(rest[1]), shot)])
            case "coarse":
                self.coarse[int(rest[0])] = float(rest[1])
                assert float(rest[1]) == int(float(rest[1]))
            case "fine":
                self.fine[int(rest[0])] = float(rest[1])
            case "on":
                self.on[int(rest[0])] = self.field(int(rest[0]), "continuous", None)
            case "off":
                del self.on[int(rest[0])]
            case "status":
                if rest[0] == "0":
                    self.on.pop(1, None)
                else:
                    self.on[1] = self.field(1, "decoupling", None)
            case "receiver":
                self.receiver = 90.0 * int(rest[0])
            case "table":
                self.tables[int(rest[0])] = [int(n) for n in rest[1:]]
            case "initval":
                self.variables[int(rest[1])] = int(float(rest[0]))
            case "offset":
                self.offset[int(rest[0])] = float(rest[1])
            case "assign" | "add" | "mult" | "mod4" | "incr" | "getelem":
                self.compute(word, rest)
            case "acquire":
                points = round(float(rest[0])) // 2
                nodes.append(
                    Interval(
                        half_ticks=points * self.halves(rest[1]),
                        fields=fields,
                        receiver_deg=self.receiver,
                        points=points,
                    )
                )
            case _:
                raise AssertionError(line)


def parameters(files, job, row):
    table = parse_table(files[f"{job.stem}.parameters.txt"], "table")
    found = {k: v for k, v in table.items() if re.fullmatch(r"[\d.]+", v)}
    found |= {name: str(float(table[name]) * 1e-6) for name in ("pw90", "pp") if name in table}
    found |= {"tpwr": str(FULL_DB), "pplvl": str(FULL_DB)}
    macro = files[f"maclib/{job.stem}_arrays"]
    for name, values in re.findall(r"^(\w+)=([\d.,]+)$", macro, re.MULTILINE):
        found[name] = values.split(",")[row]
    return found


def runs_as_meant(gcc, folder, exported):
    """Assert that the compiled program tells the console what the sequences say."""
    for job in exported.jobs[:3]:
        program = built(gcc, exported.files[f"psglib/{job.stem}.c"], folder)
        reference = job.compiled.reference
        rows = [job.compiled.sequences[k] for k in job.program.rows]
        patterns = job.patterns if reference is None else (None, *job.patterns)
        for row, sequence in enumerate(rows if reference is None else [reference, *rows]):
            known = parameters(exported.files, job, row)
            flips = patterns[row]
            # every scan has phases of its own where frames are flipped
            scans = range(len(job.cycle) if flips is None else job.compiled.protocol.scans)
            for scan in scans:
                step = job.cycle[scan % len(job.cycle)]
                words = "\n".join([str(scan), *(f"{k} {v}" for k, v in known.items())])
                said = subprocess.run(
                    [program], input=words, capture_output=True, text=True, check=True
                ).stdout
                listener = Listener(job.spectrometer.tick_s, job.nuclei, scan)
                listener.listen(said.splitlines())
                assert not listener.on
                assert not any(listener.offset.values())
                meant = sequence_timeline(
                    sequence,
                    job.spectrometer,
                    read_shift_deg=90.0 * step,
                    switch_off_ticks=job.switch_off_ticks,
                    flips=() if flips is None else flips.flips[scan].tolist(),
                )
                (nodes,) = listener.stack
                assert first_difference(normalised(tuple(nodes)), meant) is None


@pytest.mark.parametrize("name", exportable("varian"))
def test_the_compiled_sequence_does_what_the_protocol_says(gcc, tmp_path, name):
    runs_as_meant(gcc, tmp_path, export(*compiled(name), "varian"))


@settings(SLOW, max_examples=12)
@given(legal_experiments())
def test_any_compiled_sequence_does_what_the_events_say(gcc, tmp_path_factory, experiment):
    folder = tmp_path_factory.mktemp("made-up")
    runs_as_meant(gcc, folder, export(*experiment, "varian"))


def test_hostile_text_still_compiles_without_a_warning(gcc, tmp_path):
    for text in HOSTILE:
        for exported in hostile_exports(text, "varian"):
            (job,) = exported.jobs
            source = tmp_path / "hostile.c"
            source.write_text(exported.files[f"psglib/{job.stem}.c"], encoding="ascii")
            subprocess.run(
                [gcc, "-std=c99", "-trigraphs", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                 "-I", STUBS, source],
                check=True,
            )  # fmt: skip
