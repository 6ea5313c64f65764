"""Flips of a frame as a console runs them: a pattern in every scan, and what their mean leaves."""

import dataclasses
import functools
import itertools
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from exports import SLOW, compiled, made_up, pulses, sequence, wide_console
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from test_vnmrj_programs import gcc, runs_as_meant  # noqa: F401  (a fixture)

from nmrqb import compile_protocol, export
from nmrqb.compiler.flip_patterns import draw_patterns, flips_of, with_flips
from nmrqb.errors import InputError, LimitError
from nmrqb.files.pulse_programs.export import reader_of
from nmrqb.files.pulse_programs.flip_residue import flip_residue
from nmrqb.files.pulse_programs.sequence_timeline import SequenceClock
from nmrqb.files.pulse_programs.timeline import first_difference, unrolled
from nmrqb.protocol.protocol import Sweep
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Loop,
    PhaseFlip,
    Pulse,
    PulseSequence,
    SimultaneousPulses,
)
from nmrqb.simulate.simulator import StarSimulator

TARGETS = ("bruker", "varian")
NAME = "driven_flips_thermal_chloroform"


@functools.cache
def driven(dephasing_per_s=1000.0, slices=2, scans=16, cycles=(0, 1, 2)):
    """Return the shipped protocol with other numbers, compiled, with register and console."""
    job, register, console = compiled(NAME)
    (step,) = job.protocol.cycle
    protocol = dataclasses.replace(
        job.protocol,
        cycle=(dataclasses.replace(step, dephasing_per_s=dephasing_per_s, slices=slices),),
        scans=scans,
        heating="as-is",
        sweep=Sweep(key="cycles", values=tuple(map(float, cycles))),
    )
    return compile_protocol(protocol, register, console), register, console


@functools.cache
def exported(target, *options):
    return export(*driven(*options), target)


def mean_and_spread(one, register):
    """Return mean and standard deviation over all patterns, each simulated and weighted."""
    flips = list(flips_of(one.events))
    simulator = StarSimulator(register)
    mean = square = 0.0
    for pattern in itertools.product((False, True), repeat=len(flips)):
        weight = math.prod(
            f.probability if on else 1 - f.probability for f, on in zip(flips, pattern, strict=True)
        )
        z = simulator.simulate(with_flips(one, np.array(pattern))).battery_z[-3]
        mean, square = mean + weight * z, square + weight * z * z
    return mean, math.sqrt(square - mean * mean)


# ---- the mean


def test_the_mean_over_all_patterns_is_the_phase_flip_and_its_spread_is_exact():
    job, register, _ = driven()
    one = job.sequences[2]
    mean, spread = mean_and_spread(one, register)
    average = StarSimulator(register).simulate(one).battery_z[-3]
    assert mean == pytest.approx(average, abs=1e-12)
    drawn = draw_patterns(one, 16, 4, np.random.default_rng(1))
    assert not drawn.is_complete
    residue = flip_residue(one, drawn, register)
    # products of sixteen-element states: rounding of 1e-16 in V, its root from a difference
    assert residue.spread == pytest.approx(spread, rel=1e-9)
    assert spread > 0.05
    assert residue.average == pytest.approx(average, abs=1e-12)
    assert residue.std_of_mean == residue.spread / 4.0


@pytest.mark.parametrize(
    ("q", "flips", "scans"), [(0.5, 2, 16), (0.5, 4, 64), (0.25, 1, 16), (0.25, 2, 64)]
)
def test_where_shares_are_whole_numbers_of_phase_cycles_the_mean_is_exact(q, flips, scans):
    # the slice of 1.5 ms/2 whose flips have probability q: e^{-gamma_C d/2} = 1 - 2 q
    d = 1.5e-3 / 2
    gamma = 2.0 * -math.log(max(1.0 - 2.0 * q, 1e-20)) / d
    job, register, console = driven(gamma, 2, scans, (1, 2) if flips > 2 else (1,))
    if flips == 1:
        (step,) = job.protocol.cycle
        half = dataclasses.replace(step, duration_s=d, slices=1)
        job = compile_protocol(dataclasses.replace(job.protocol, cycle=(half,)), register, console)
    one = job.sequences[-1]
    patterns = draw_patterns(one, scans, 4, np.random.default_rng(0))
    assert patterns.is_complete
    assert patterns.flips.shape == (scans, flips)
    assert patterns.weight_error < 1e-12
    # every pattern meets every step of the phase cycle equally often
    for block in patterns.flips.reshape(-1, 4, flips):
        assert (block == block[0]).all()
    residue = flip_residue(one, patterns, register)
    assert residue.deviation == pytest.approx(0.0, abs=1e-12)
    assert residue.std_of_mean == 0.0
    assert residue.spread > 0.0  # one pattern alone is another state


def test_the_mean_of_random_patterns_is_off_by_the_stated_residue():
    job, register, _ = driven(1000.0, 2, 16, (1, 3))
    ratios = []
    for row, one in enumerate(job.sequences):
        for seed in range(12):
            drawn = draw_patterns(one, 16, 4, np.random.default_rng([seed, row]))
            residue = flip_residue(one, drawn, register)
            ratios.append(residue.deviation / residue.std_of_mean)
    total = float(np.square(ratios).sum())
    assert chi2.ppf(1e-4, len(ratios)) < total < chi2.ppf(1 - 1e-4, len(ratios))


def test_large_registers_estimate_the_spread_from_patterns():
    from star_registers import star

    register = star(5, "13C", "1H", central="battery", coupling_hz=209.0)
    job, _, console = driven()
    other = compile_protocol(
        dataclasses.replace(job.protocol, sweep=None, cycles=1), register, console
    )
    (one,) = other.sequences
    patterns = draw_patterns(one, 64, 4, np.random.default_rng(3))
    residue = flip_residue(one, patterns, register)
    assert residue.how.startswith("simulation of")
    _, spread = mean_and_spread(one, register)
    n = residue.simulated
    assert residue.spread == pytest.approx(spread, rel=4.0 / math.sqrt(2.0 * n))
    assert residue.average == pytest.approx(
        StarSimulator(register).simulate(one).battery_z[-3], abs=1e-12
    )


# ---- the text


def events_of(timeline, console):
    """Return what a console does in one scan as events, pulses from their length and power."""
    found = []
    for interval in unrolled(timeline):
        ticks, odd = divmod(interval.half_ticks, 2)
        assert not odd
        if interval.points:
            found.append(Acquire(nucleus="13C", points=interval.points, dwell_ticks=5000))
        elif interval.gradient:
            found.append(Crusher(ticks=ticks))
        elif interval.fields:
            both = tuple(
                Pulse(
                    nucleus=f.nucleus,
                    ticks=ticks,
                    angle_rad=math.pi / 2 * math.sqrt(f.power) * ticks * console.tick_s
                    / console.channel(f.nucleus).pulse_90_s,
                    phase_rad=math.radians(f.phase_deg),
                )
                for f in interval.fields
            )  # fmt: skip
            found.append(both[0] if len(both) == 1 else SimultaneousPulses(pulses=both))
        else:
            found.append(Delay(ticks=ticks))
    return tuple(found)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("gamma", [1000.0, 1e6])
def test_the_exported_text_simulated_scan_by_scan_gives_the_stated_mean(target, gamma):
    made = exported(target, gamma)
    (job,) = made.jobs
    simulator = StarSimulator(job.register)
    reader = reader_of(job, made.files, target)
    signals = {}
    for place, scan, timeline in reader.every_scan():
        events = events_of(timeline, job.spectrometer)
        x, y, _ = simulator.simulate(
            PulseSequence(tick_s=job.spectrometer.tick_s, events=events)
        ).detected
        # the receiver turns with the read pulse
        turn = np.exp(-1j * math.radians(90.0 * job.cycle[scan % 4]))
        signals.setdefault(place, []).append((complex(x, y) * turn).real)
    for place, row in enumerate(job.program.rows, start=1):
        if row not in made.residues:
            continue
        residue = made.residues[row]
        assert len(signals[place]) == 16
        read = simulator.simulate(job.compiled.sequences[row])
        # the read pulse and the dead time keep the same share of z in every scan
        kept = read.detected[0] / read.battery_z[-3]
        # T1 of 20 s in the 12 us of the read pulse: z relaxes by another amount in every scan
        same = pytest.approx(kept * residue.mean, abs=12e-6 / 20.0)
        assert np.mean(signals[place]) == same
        if gamma == 1e6 and row == 1:
            assert residue.std_of_mean == 0.0
            assert kept * residue.average == same
        else:
            assert abs(residue.deviation) < 4 * residue.std_of_mean


def test_a_pattern_is_drawn_by_the_protocols_seed_and_listed():
    first, second = exported("bruker"), exported("varian")
    assert first.files["flip_patterns.txt"] == second.files["flip_patterns.txt"]
    told = first.to_result()
    assert told["flip_seed"] == 76
    (job,) = first.jobs
    listed = {}
    for line in first.files["flip_patterns.txt"].splitlines():
        if not line.startswith("#"):
            row, scan, flips = line.split(" | ")
            listed[int(row), int(scan)] = [c == "1" for c in flips]
    for row, patterns in zip(job.program.rows, job.patterns, strict=True):
        if patterns is None:
            assert row == 0
            continue
        for scan, flips in enumerate(patterns.flips):
            assert listed[row, scan] == flips.tolist()
    results = {r["row"]: r for r in told["results"][0]["rows"]}
    assert "flips" not in results[0]
    assert results[2]["flips"]["flips_of_a_scan"] == 4
    assert results[2]["flips"]["patterns"] == "random"
    assert f"{results[2]['flips']['std_of_mean']:.2g} eps" in first.files["checklist.txt"]
    compiled_, register, console = driven()
    simulation = dataclasses.replace(compiled_.protocol.simulation, seed=77)
    other = dataclasses.replace(
        compiled_, protocol=dataclasses.replace(compiled_.protocol, simulation=simulation)
    )
    assert (
        export(other, register, console, "bruker").files["flip_patterns.txt"]
        != first.files["flip_patterns.txt"]
    )


@pytest.mark.parametrize(
    ("target", "pattern", "replacement"),
    [
        ("bruker", r"^ph5 = 3 ", "ph5 = 1 "),
        ("bruker", r"ph5\^", "ph5"),
        ("bruker", r"1u ipp3", "1u ipp2"),
        ("bruker", r"    30m rpp3.*\n", ""),
        ("varian", r"nq_frames\[\d+\] = \{\n    (\d)", "nq_frames[9] = {\n    1"),
        ("varian", r"    incr\(v36\);\n", ""),
        ("varian", r"add\(v37, two, v40\)", "add(v37, one, v40)"),
    ],
)
def test_one_wrong_phase_of_one_scan_is_found(target, pattern, replacement):
    made = exported(target)
    (job,) = made.jobs
    path = f"pp/{job.stem}" if target == "bruker" else f"psglib/{job.stem}.c"
    text, count = re.subn(pattern, replacement, made.files[path], flags=re.MULTILINE)
    assert count
    with pytest.raises((AssertionError, InputError)):
        agree(dataclasses.replace(made, files=dict(made.files) | {path: text}))


def agree(made):
    """Assert that every scan of every row is the sequence with its flips."""
    (job,) = made.jobs
    reader = reader_of(job, made.files, made.target)
    rows = [job.compiled.sequences[row] for row in job.program.rows]
    patterns = list(job.patterns)
    if job.compiled.reference is not None:
        rows.insert(0, job.compiled.reference)
        patterns.insert(0, None)
    clocks = [
        SequenceClock(s, job.spectrometer, switch_off_ticks=job.switch_off_ticks) for s in rows
    ]
    seen = set()
    for place, scan, timeline in reader.every_scan():
        flips = () if patterns[place] is None else patterns[place].flips[scan].tolist()
        step = 90.0 * job.cycle[scan % len(job.cycle)]
        meant = clocks[place].scan(read_shift_deg=step, flips=flips)
        assert first_difference(timeline, meant) is None
        seen.add((place, scan))
    scans = range(job.compiled.protocol.scans)
    assert seen >= {(k, s) for k, p in enumerate(patterns) if p is not None for s in scans}


def test_the_compiled_c_runs_every_scan_with_its_own_phases(gcc, tmp_path):  # noqa: F811
    runs_as_meant(gcc, tmp_path, exported("varian", 1000.0, 3, 4, (2, 0, 1)))


@st.composite
def flipping_experiments(draw):
    """Return compiled protocols whose loops flip the frame of 1H, in patterns of two scans."""
    console = wide_console()
    shot = pulses()
    quiet = st.one_of(shot, st.builds(Delay, ticks=st.sampled_from([40, 2000])))

    def part(least=0):
        return draw(st.lists(quiet, min_size=least, max_size=3))

    flip = PhaseFlip(nucleus="1H", probability=draw(st.sampled_from([0.1, 0.3, 0.5])))
    inner = [*part(1), flip, *part()]
    if draw(st.booleans()):
        inner = [Loop(count=draw(st.integers(0, 3)), body=(*part(1), flip)), *inner]
    read = Pulse(nucleus="31P", ticks=280, angle_rad=math.pi / 2, phase_rad=math.pi / 2,
                 label="read")  # fmt: skip
    tail = (read, Delay(ticks=400), Acquire(nucleus="31P", points=64, dwell_ticks=2000))
    counts = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True))
    before, after = part(), part()
    rows = [
        sequence([*before, *([Loop(count=n, body=tuple(inner))] if n else []), *after, *tail])
        for n in counts
    ]
    assume(any(next(flips_of(row.events), None) for row in rows))
    reference = sequence([*part(), *tail]) if draw(st.booleans()) else None
    job, register, _ = made_up(
        rows, reference, Sweep(key="cycles", values=tuple(map(float, counts)))
    )
    protocol = dataclasses.replace(job.protocol, scans=2)
    return dataclasses.replace(job, protocol=protocol), register, console


@pytest.mark.parametrize("target", TARGETS)
@settings(SLOW, max_examples=25)
@given(experiment=flipping_experiments())
def test_any_sequence_with_flips_is_the_same_on_a_console(target, experiment):
    # only the text is asked here: patterns of nine spins take seconds to simulate
    none = SimpleNamespace(weight_bound=0.0, std_of_mean=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmrqb.files.pulse_programs.export.flip_residue", lambda *_: none)
        made = export(*experiment, target)
    for job in made.jobs:
        agree(dataclasses.replace(made, jobs=(job,)))


# ---- refusals


def test_a_phase_list_that_is_too_long_is_refused_with_its_limit():
    job, register, console = driven()
    for most, target, words in (
        (40, "bruker", "must be at most 40 .* are 16 x 4 in row 2"),
        (40, "varian", "must be at most 40 .* are 16 x 4 in row 2"),
        # 32 + 64: each row has room in a table, both together have none in a list
        (64, "bruker", "at most 64 entries, but would hold 96"),
    ):
        short = dataclasses.replace(console, maximum_phase_list=most)
        with pytest.raises(LimitError, match=words):
            export(job, register, short, target)
    export(job, register, dataclasses.replace(console, maximum_phase_list=64), "varian")


def test_a_loop_whose_repetitions_end_before_the_flip_is_refused_for_bruker():
    shot = Pulse(nucleus="1H", ticks=240, angle_rad=math.pi / 2)
    inner = Loop(count=2, body=(shot, Delay(ticks=40)))
    flip = PhaseFlip(nucleus="1H", probability=0.2)
    tail = (Delay(ticks=400), Acquire(nucleus="31P", points=64, dwell_ticks=2000))
    rows = [sequence([Loop(count=3, body=(inner, flip)), *tail])]
    with pytest.raises(LimitError, match="a loop without flips must hold no pulse"):
        export(*made_up(rows, None, None), "bruker")


def test_the_nucleus_whose_frame_is_flipped_is_not_observed():
    tail = (Delay(ticks=400), Acquire(nucleus="31P", points=64, dwell_ticks=2000))
    body = (Delay(ticks=40), PhaseFlip(nucleus="31P", probability=0.2))
    with pytest.raises(LimitError, match="cannot be observed"):
        export(*made_up([sequence([Loop(count=3, body=body), *tail])], None, None), "bruker")


def test_an_exported_driven_protocol_is_written_by_the_command(nmrqb, tmp_path):
    outcome = nmrqb("compile", NAME, "--to", "varian", "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "flip_patterns.txt").is_file()
    flips = [r.get("flips") for r in outcome.json["results"][0]["rows"]]
    assert all(f is None or 0.0 < f["std_of_mean"] < 0.25 for f in flips)
