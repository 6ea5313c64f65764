"""Parameter tables of exported programs: what to set, what to calibrate, what the program sets."""

from __future__ import annotations

import math
import re

from nmrqb.files.pulse_programs.bruker_writer import CALIBRATED as BRUKER_CALIBRATED
from nmrqb.files.pulse_programs.bruker_writer import BrukerWriter
from nmrqb.files.pulse_programs.job import GRADIENT_PERCENT, Job
from nmrqb.files.pulse_programs.parameter_table import Row, table_text
from nmrqb.files.pulse_programs.text import plain, seconds
from nmrqb.files.pulse_programs.varian_writer import CALIBRATED as VARIAN_CALIBRATED
from nmrqb.files.pulse_programs.varian_writer import VarianWriter
from nmrqb.sequence.events import Inversion, Pulse, SimultaneousPulses, SpinLock
from nmrqb.spins.register import Load, Species

CALIBRATE = "calibrate"


def bruker_table(writer: BrukerWriter) -> str:
    """Return the parameter table of a TopSpin program."""
    job = writer.job
    rows: list[Row] = [
        ("PULPROG", job.stem, "", "this program"),
        _tick(job, "TICK"),
    ]
    for k, nucleus in enumerate(job.nuclei):
        length, level = (name.upper() for name in BRUKER_CALIBRATED[k])
        rows += [
            (f"NUC{k + 1}", nucleus, "", f"f{k + 1}, {_species(job, nucleus).role}"),
            (f"O{k + 1}P", f"{_carrier_ppm(job, nucleus):.6g}", "ppm", "carrier: on the line"),
            (length, _quarter_us(job, nucleus), "us", f"CALIBRATE: {_calibration(job, nucleus)}"),
            (level, CALIBRATE, "W", f"CALIBRATE: the power at which {length} is 90 degrees"),
        ]
    rows += [
        ("TD", str(2 * job.acquire.points), "", "points of a row, real and imaginary"),
        ("SWH", _width_hz(job), "Hz", "spectral width; TopSpin takes the nearest it can"),
        ("DE", _us(job, writer.de_ticks), "us", "wait before the receiver opens"),
        ("AQ_mod", "DQD", "", ""),
        ("DS", "0", "", "no dummy scans: every scan begins fully relaxed"),
        ("NS", str(job.compiled.protocol.scans), "", _scans(job)),
        ("RG", CALIBRATE, "", "CALIBRATE on row 0; the same in all rows"),
        ("TD1", str(len(job.axis)), "", "rows (F1), the reference first"),
        ("FnMODE", "QF", "", ""),
    ]  # fmt: skip
    rows += [(p, name, "", "list of the rows") for p, name in writer.list_names.items()]
    for site in sorted(writer.sites):
        rows += [
            (f"GPZ{site + 1}", f"{gradient_percent(job, site):.3g}", "%", "crusher gradient"),
            (f"GPNAM{site + 1}", "SMSQ10.100", "", "its shape"),
        ]
    for (nucleus, _), name in writer.shapes.given.items():
        rows.append(
            (name.replace("sp", "SPNAM"), CALIBRATE, "", f"the measured inversion of {nucleus}")
        )
    for nucleus in job.acquire.decoupled:
        number = writer.channel[nucleus] + 1
        rows.append((f"CPDPRG{number}", "waltz64", "", f"decoupling of {nucleus}"))
    rows += _set_by_program(writer)
    return table_text(f"parameters of {job.stem}", rows)


def _set_by_program(writer: BrukerWriter) -> list[Row]:
    rows: list[Row] = []
    for value, name in writer.lengths.given.items():
        words = ", ".join(writer.meaning.get(name, []))
        if isinstance(value, int):
            rows.append(
                (name.upper(), _us(writer.job, value), "us", f"set by the program: {words}")
            )
        else:
            at = [p for (_, q), p in writer.powers.given.items() if q == name]
            at += [p.replace("sp", "spw") for (_, q), p in writer.shapes.given.items() if q == name]
            where = f"at {', '.join(at).upper()}" if at else "at the decoupling power"
            text = f"set by the program: length of 90 degrees {where}"
            rows.append((name.upper(), value.removesuffix("u"), "us", text))
    for value, name in writer.delays.given.items():
        words = ", ".join(writer.meaning.get(name, []))
        shown = plain(seconds(value, writer.tick_s))
        rows.append((name.upper(), shown, "s", f"set by the program: {words}".rstrip(": ")))
    for (nucleus, _), name in writer.powers.given.items():
        length, level = BRUKER_CALIBRATED[writer.channel[nucleus]]
        text = f"set by the program from {length.upper()} and {level.upper()}: {nucleus}"
        rows.append((name.upper(), "derived", "W", text))
    for offset_hz, name in writer.constants.given.items():
        text = "set by the program: offset of dummy pulses from the carrier"
        rows.append((name.upper(), f"{offset_hz:.10g}", "Hz", text))
    for (letter, _), name in writer.varying.items():
        what = {"l": "loop counts", "d": "delays", "p": "pulse lengths"}[letter]
        words = ", ".join(writer.meaning.get(name, []))
        rows.append((name, "list", "", f"{what} of the rows: {words}".rstrip(": ")))
    return rows


def varian_table(writer: VarianWriter) -> str:
    """Return the parameter table of a VnmrJ sequence."""
    job = writer.job
    rows: list[Row] = [
        ("seqfil", job.stem, "", "this sequence"),
        _tick(job, "tick"),
    ]
    for k, nucleus in enumerate(job.nuclei):
        length, level = VARIAN_CALIBRATED[k]
        name, offset = (("tn", "tof"), ("dn", "dof"))[k]
        match = re.fullmatch(r"(\d+)(\w+)", nucleus)
        assert match
        rows += [
            (name, match[2] + match[1], "", _species(job, nucleus).role),
            (offset, f"{_carrier_ppm(job, nucleus):.6g}", "ppm", "put the carrier there"),
            (length, _quarter_us(job, nucleus), "us", f"CALIBRATE: {_calibration(job, nucleus)}"),
            (level, CALIBRATE, "dB", f"CALIBRATE: the level at which {length} is 90 degrees"),
        ]
    rows += [
        ("np", str(2 * job.acquire.points), "", "points of a row, real and imaginary"),
        ("sw", _width_hz(job), "Hz", "spectral width"),
        ("dm", "ny", "", "decoupler: off in status A, on in status B (acquisition)"),
        ("dmm", "cw", "", "decoupler modulation: cw in A, waltz in B"),
        *_varian_decoupling(job),
        ("ss", "0", "", "no dummy scans: every scan begins fully relaxed"),
        ("nt", str(job.compiled.protocol.scans), "", _scans(job)),
        ("gain", CALIBRATE, "dB", "CALIBRATE on row 0; the same in all rows"),
        ("arrays", f"{job.stem}_arrays", "", "macro that creates and sets the arrays of the rows"),
    ]  # fmt: skip
    for site in sorted(writer.sites):
        percent = gradient_percent(job, site)
        rows.append((f"nqg{site + 1}", f"{round(327.67 * percent)}", "DAC", "crusher gradient"))
    for (letter, _), name in writer.varying.items():
        what = "loop counts" if letter == "l" else "times (s)"
        words = writer.meaning.get(name, "")
        rows.append((name, "array", "", f"{what} of the rows: {words}".rstrip(": ")))
    if job.program.reference is not None:
        rows.append(("nqref", "array", "", "1 in the row of the reference"))
    if any("shaped_pulse" in line for line in writer.body):
        rows.append(("nq_inversion", CALIBRATE, "", "shape file: the measured inversion"))
    return table_text(f"parameters of {job.stem}", rows)


def _varian_decoupling(job: Job) -> list[Row]:
    rows: list[Row] = []
    for nucleus in job.acquire.decoupled:
        channel = job.spectrometer.channel(nucleus)
        weaker = math.sqrt(channel.decoupling_power_watt / channel.pulse_power_watt)
        wide = f"{weaker / channel.pulse_90_s:.6g}"
        text = f"1/(90 degrees of {nucleus} at the decoupling level, which the sequence sets)"
        rows.append(("dmf", wide, "Hz", text))
    return rows


def gradient_percent(job: Job, site: int) -> float:
    """Return the strength of one crusher in % of the full gradient."""
    console = job.spectrometer
    wanted, most = console.crusher_gradient_tesla_per_m, console.maximum_gradient_tesla_per_m
    if wanted is None or most is None:
        return float(GRADIENT_PERCENT[site])
    return 100.0 * wanted / most * GRADIENT_PERCENT[site] / max(GRADIENT_PERCENT)


def longest_quarter_s(job: Job, nucleus: str) -> float:
    """Return the longest 90 degree pulse with which no derived power exceeds its limit."""
    channel = job.spectrometer.channel(nucleus)
    peak = channel.pulse_power_watt
    everything = [*job.compiled.sequences]
    if job.compiled.reference is not None:
        everything.append(job.compiled.reference)
    for sequence in everything:
        for event, _ in sequence.walk():
            match event:
                case Pulse() | SimultaneousPulses():
                    both = event.pulses if isinstance(event, SimultaneousPulses) else (event,)
                    scales = [p.amplitude_scale**2 for p in both if p.nucleus == nucleus]
                    peak = max([peak, *(s * channel.pulse_power_watt for s in scales)])
                case Inversion() if event.nucleus == nucleus:
                    peak = max(peak, event.power_watt)
                case SpinLock() if nucleus in event.nuclei:
                    peak = max(peak, channel.power_at(event.nutation_hz))
                case _:
                    pass
    return channel.pulse_90_s * math.sqrt(channel.maximum_power_watt / peak)


def _calibration(job: Job, nucleus: str) -> str:
    most = 1e6 * longest_quarter_s(job, nucleus)
    return (
        f"90 degree pulse of {nucleus}; above {most:.4g} us the derived powers exceed the limit: "
        "export again with your value"
    )


def _species(job: Job, nucleus: str) -> Species | Load:
    return job.register.species(nucleus)


def _carrier_ppm(job: Job, nucleus: str) -> float:
    said = job.compiled.protocol.fid.carrier_ppm
    if nucleus == job.acquire.nucleus and said is not None:
        return said
    return _species(job, nucleus).shift_ppm


def _quarter_us(job: Job, nucleus: str) -> str:
    return f"{1e6 * job.spectrometer.channel(nucleus).pulse_90_s:.10g}"


def _us(job: Job, ticks: int) -> str:
    return plain(seconds(ticks, job.spectrometer.tick_s) * 10**6)


def _scans(job: Job) -> str:
    return f"scans of every row; the phase cycle has {len(job.cycle)} step(s)"


def _tick(job: Job, name: str) -> Row:
    return (name, _us(job, 1), "us", "clock: every duration is a whole number of it")


def _width_hz(job: Job) -> str:
    return f"{1.0 / float(seconds(job.acquire.dwell_ticks, job.spectrometer.tick_s)):.12g}"
