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
from nmrqb.files.pulse_programs.timeline import (
    Field,
    Interval,
    Repeat,
    first_difference,
    normalised,
    overlapping,
    sequence_timeline,
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
    """Rebuilds the timeline from what the console prints."""

    def __init__(self, tick_s, nuclei):
        self.tick_s, self.nuclei = tick_s, nuclei
        self.coarse, self.fine, self.on = {}, {}, {}
        self.receiver = None
        self.stack = [[]]
        self.counts = []

    def halves(self, word):
        exact = 2.0 * float(word) / self.tick_s
        assert abs(exact - round(exact)) < 1e-3
        return round(exact)

    def field(self, channel, mode, quarter):
        decibel = self.coarse[channel] - FULL_DB
        power = 10.0 ** (decibel / 10.0) * (self.fine[channel] / 4095.0) ** 2
        assert 0.0 < self.fine[channel] <= 4095.0
        phase = None if quarter is None else 90.0 * int(quarter)
        return Field(nucleus=self.nuclei[channel], mode=mode, phase_deg=phase, power=power)

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
            case "loop":
                self.counts.append(int(float(rest[0])))
                assert self.counts[-1] >= 1  # a console's loop may run at least once
                self.stack.append([])
            case "end":
                body = tuple(self.stack.pop())
                self.stack[-1].append(Repeat(count=self.counts.pop(), body=body))
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
        for row, sequence in enumerate(rows if reference is None else [reference, *rows]):
            known = parameters(exported.files, job, row)
            for scan, step in enumerate(job.cycle):
                words = "\n".join([str(scan), *(f"{k} {v}" for k, v in known.items())])
                said = subprocess.run(
                    [program], input=words, capture_output=True, text=True, check=True
                ).stdout
                listener = Listener(job.spectrometer.tick_s, job.nuclei)
                for line in said.splitlines():
                    listener.hear(line)
                assert not listener.on
                meant = sequence_timeline(
                    sequence,
                    job.spectrometer,
                    read_shift_deg=90.0 * step,
                    switch_off_ticks=job.switch_off_ticks,
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
