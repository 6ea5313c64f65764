"""Exported programs do, tick by tick and on every path, what the sequences say."""

import dataclasses
import re

import pytest
from exports import (
    HOSTILE,
    SLOW,
    compiled,
    exportable,
    hostile_exports,
    legal_experiments,
    made_up,
)
from exports import sequence as one_scan
from hypothesis import given, settings
from hypothesis import strategies as st

from nmrqb.errors import InputError, LimitError
from nmrqb.files.pulse_programs.export import export, reader_of
from nmrqb.files.pulse_programs.sequence_timeline import sequence_timeline
from nmrqb.files.pulse_programs.text import harmless
from nmrqb.files.pulse_programs.timeline import (
    first_difference,
    half_ticks_of,
    unrolled,
)
from nmrqb.files.shipped import shipped_names
from nmrqb.protocol.protocol import Sweep
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import Acquire, Crusher, Delay, Loop

TARGETS = ("bruker", "varian")


def wanted(exported):
    """Yield every acquired row of an export: its reader, its place, its sequence."""
    for job in exported.jobs:
        reader = reader_of(job, exported.files, exported.target)
        rows = [job.compiled.sequences[row] for row in job.program.rows]
        patterns = list(job.patterns)
        if job.compiled.reference is not None:
            rows.insert(0, job.compiled.reference)
            patterns.insert(0, None)
        for place, (sequence, flips) in enumerate(zip(rows, patterns, strict=True)):
            yield job, reader, place, sequence, flips


def agree(exported):
    """Assert that the text, read back, is every sequence in every step of the phase cycle."""
    for job, reader, place, sequence, flips in wanted(exported):
        for scan, step in enumerate(job.cycle):
            found = reader.row(place, scan)
            meant = sequence_timeline(
                sequence,
                job.spectrometer,
                read_shift_deg=90.0 * step,
                switch_off_ticks=job.switch_off_ticks,
                flips=() if flips is None else flips.flips[scan].tolist(),
            )
            assert first_difference(found, meant) is None
            assert half_ticks_of(found) == 2 * sequence.ticks


@pytest.mark.parametrize(
    ("name", "target"), [(name, target) for target in TARGETS for name in exportable(target)]
)
def test_every_shipped_protocol_is_exported_and_read_back_to_the_tick(name, target):
    exported = export(*compiled(name), target)
    agree(exported)
    measured = sorted(row for job in exported.jobs for row in job.program.rows)
    assert measured == list(range(compiled(name)[0].protocol.rows))


def test_what_exists_in_simulation_only_is_refused_with_what_to_use_instead():
    refused = set(shipped_names("protocol")) - set(exportable())
    assert refused
    for name in refused:
        with pytest.raises(LimitError, match=r"use .*(native|thermal)"):
            export(*compiled(name), "bruker")


@settings(SLOW, max_examples=60)
@given(legal_experiments(quarters=False))
def test_any_legal_sequence_is_the_same_on_a_bruker_console(experiment):
    agree(export(*experiment, "bruker"))


@settings(SLOW, max_examples=60)
@given(legal_experiments())
def test_any_legal_sequence_is_the_same_on_a_varian_console(experiment):
    agree(export(*experiment, "varian"))


def test_unrolled_loops_last_as_long_as_the_loops():
    exported = export(*compiled("asymptotic_native_trimethyl_phosphate"), "bruker")
    for _, reader, place, sequence, _ in wanted(exported):
        assert sum(i.half_ticks for i in unrolled(reader.row(place))) == 2 * sequence.ticks


def program_of(name, target="bruker"):
    exported = export(*compiled(name), target)
    job = exported.jobs[0]
    path = f"pp/{job.stem}" if target == "bruker" else f"psglib/{job.stem}.c"
    return exported, path, exported.files[path]


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r'"d24 = 5s"', '"d24 = 5.00000005s"'),
        (r"^ph2 = 1 3 2 0$", "ph2 = 1 3 0 2"),
        (r'"p21 = 14u"', '"p21 = 14.05u"'),
        (r"pow\(p1/p22,2\)", "pow(p1/p24,2)"),
        (r'if "l20 < 1" goto 11', 'if "l20 < 1" goto 12'),
        (r"    lo to 12 times l20\n", ""),
        (r" cpd2:f2", ""),
    ],
)
def test_one_wrong_tick_phase_power_or_branch_is_found(pattern, replacement):
    exported, path, text = program_of("asymptotic_native_trimethyl_phosphate")
    damaged, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    assert count
    files = dict(exported.files) | {path: damaged}
    with pytest.raises((AssertionError, InputError)):
        agree(dataclasses.replace(exported, files=files))


@pytest.mark.parametrize("target", TARGETS)
def test_a_statement_that_is_not_understood_is_refused(target):
    exported, path, text = program_of("inversion_recovery", target)
    start = "3   30m" if target == "bruker" else "    status(A);"
    files = dict(exported.files) | {path: text.replace(start, f"    evil();\n{start}", 1)}
    with pytest.raises(InputError, match="not understood"):
        agree(dataclasses.replace(exported, files=files))


def test_a_row_of_no_cycles_skips_the_loop_that_would_run_once():
    exported, path, text = program_of("asymptotic_native_trimethyl_phosphate")
    job = exported.jobs[0]
    assert text.count("lo to") == 2  # the cycles and the rows
    row = job.program.rows.index(0) + 1
    lists = exported.files[f"lists/vc/{job.stem}_nql1"].split()
    assert lists[row] == "0"
    unguarded = re.sub(r'    if "l20 < 1" goto 11\n', "", text)
    files = dict(exported.files) | {path: unguarded}
    read = reader_of(job, files, "bruker").row(row)
    # without the branch one cycle of 5 s and more would run
    assert half_ticks_of(read) - 2 * job.compiled.sequences[0].ticks > 2 * 5.0 / 50e-9


@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_that_no_row_of_a_program_runs_is_left_out(target):
    # the dummy pulses that warm the row without cycles make a program of its own for it
    dummies = DummyPulses(
        nucleus="1H", count=3, on_ticks=40, off_ticks=333, amplitude_scale=0.5,
        nutation_hz=1e4, offset_hz=1.5e5,
    )  # fmt: skip
    wait, tail = Delay(ticks=5000), [
        Delay(ticks=400), Acquire(nucleus="31P", points=64, dwell_ticks=400, decoupled=()),
    ]  # fmt: skip
    cycles = Loop(count=4, body=(Delay(ticks=777), Crusher(ticks=40)))
    rows = [one_scan([wait, cycles, *tail]), one_scan([dummies, wait, *tail])]
    exported = export(*made_up(rows, None, Sweep(key="cycles", values=(4.0, 0.0))), target)
    agree(exported)
    assert [job.program.rows for job in exported.jobs] == [(0,), (1,)]


def test_the_first_repetition_apart_needs_no_second_list():
    compiled_, register, console = compiled("asymptotic_native_trimethyl_phosphate")
    from nmrqb import compile_protocol

    protocol = compiled_.protocol
    cycle = (
        dataclasses.replace(protocol.cycle[0], recovery="flipped-back"),
        *protocol.cycle[1:],
    )
    again = compile_protocol(dataclasses.replace(protocol, cycle=cycle), register, console)
    exported = export(again, register, console, "bruker")
    agree(exported)
    (job,) = exported.jobs
    assert [n for n in exported.files if n.startswith("lists/")] == [f"lists/vc/{job.stem}_nql1"]
    counts = [int(n) for n in exported.files[f"lists/vc/{job.stem}_nql1"].split()]
    assert counts == [round(v) for v in job.axis]


# ---- RF off on every path


def statements(text):
    """Return the statements of a TopSpin program and its labels."""
    code, labels = [], {}
    for raw in (text.split("ze", 1)[1].split("\nexit", 1)[0] + "\nexit").splitlines():
        line = raw.split(";")[0].strip()
        if not line or line.startswith('"'):
            continue
        head, _, rest = line.partition(" ")
        if head.isdigit():
            labels[head] = len(code)
            line = rest.strip()
        code.append(line)
    return code, labels


def walk_every_path(text):
    """Visit every statement with every set of channels that can be on, and check the rules."""
    code, labels = statements(text)
    seen, todo = set(), [(0, frozenset())]
    while todo:
        place, on = todo.pop()
        if (place, on) in seen:
            continue
        seen.add((place, on))
        line = code[place]
        off = on - set(re.findall(r"\bdo:(f\d)", line))
        if line == "exit":
            assert not off, "a channel is on at the end"
            continue
        if target := re.match(r"go=(\d+)", line):
            assert not off, "a channel is on before the acquisition"
            now = frozenset(re.findall(r"cpd\d:(f\d)", line))
            todo += [(labels[target[1]], now), (place + 1, now)]
            continue
        if line.startswith("goscnp"):
            assert not off, "a channel is on before the acquisition"
            todo.append((place + 1, frozenset(re.findall(r"cpd\d:(f\d)", line))))
            continue
        assert not off, f"{sorted(off)} on during {line}"
        now = frozenset(re.findall(r"\bcw:(f\d)", line))
        if target := re.match(r"lo to (\d+)", line):
            todo.append((labels[target[1]], now))
        if target := re.search(r"goto (\d+)", line):
            todo.append((labels[target[1]], now))
        todo.append((place + 1, now))
    assert {place for place, _ in seen} >= set(range(code.index("exit")))


@pytest.mark.parametrize("name", exportable())
def test_the_decoupler_is_off_on_every_path_but_during_acquisition(name):
    exported = export(*compiled(name), "bruker")
    for job in exported.jobs:
        text = exported.files[f"pp/{job.stem}"]
        walk_every_path(text)
        if job.acquire.decoupled:
            with pytest.raises(AssertionError):
                walk_every_path(text.replace(" do:f2", ""))


def test_the_receiver_follows_the_read_pulse_and_nothing_else():
    exported, _, _ = program_of("asymptotic_native_trimethyl_phosphate")
    (job,) = exported.jobs
    assert len(job.cycle) == 4
    reader = reader_of(job, exported.files, "bruker")
    first, *others = (list(unrolled(reader.row(3, scan))) for scan in range(4))
    for step, scan in zip(job.cycle[1:], others, strict=True):
        changed = [
            k for k, (a, b) in enumerate(zip(first, scan, strict=True)) if not a.does_the_same(b)
        ]
        read, acquire = changed
        assert scan[acquire].receiver_deg == 90.0 * step
        turn = scan[read].fields[0].phase_deg - first[read].fields[0].phase_deg
        assert turn % 360.0 == 90.0 * step
        assert acquire == len(scan) - 1


def test_a_row_that_detects_what_the_protocol_made_has_no_phase_cycle():
    for job in export(*compiled("pulse_calibration_trimethyl_phosphate"), "bruker").jobs:
        assert job.cycle == (0,)


def test_no_power_is_typed_in_watts():
    for name in exportable():
        exported = export(*compiled(name), "bruker")
        for job in exported.jobs:
            text = exported.files[f"pp/{job.stem}"]
            for level in re.findall(r'"((?:pl|sp)w\d+) = ([^"]*)"', text):
                assert re.fullmatch(r"plw[123]\*pow\(p[135]/p\d+,2\)", level[1]), level
            assert not re.search(r"\d\s*W\b", text)


# ---- users' text


def bare(exported):
    """Return the program without comments, its rows in the order of the sweep told apart."""
    (job,) = exported.jobs
    path = f"pp/{job.stem}" if exported.target == "bruker" else f"psglib/{job.stem}.c"
    text = exported.files[path].replace(job.stem, "STEM")
    assert text.isascii()
    assert all(c.isprintable() or c == "\n" for c in text)
    lines = text.splitlines()
    if exported.target == "bruker":
        return [line for line in lines if not line.startswith(";")]
    comments = [line for line in lines if line.startswith("/*@")]
    for line in comments:
        assert re.fullmatch(r"/\*@ \w+: [^*/\\?#;\"]* \*/", line)
    return [line for line in lines if line not in comments]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", HOSTILE)
def test_users_text_changes_no_statement(text, target):
    clean = bare(export(*compiled("asymptotic_native_trimethyl_phosphate"), target))
    for exported in hostile_exports(text, target):
        assert bare(exported) == clean
        assert re.fullmatch(r"\w+", exported.jobs[0].stem)
        for name in exported.files:
            assert re.fullmatch(r"[\w./]+", name)
            assert ".." not in name
        if target == "bruker":
            program = exported.files[f"pp/{exported.jobs[0].stem}"]
            keys = re.findall(r"^;@ (\w+):", program, re.MULTILINE)
            assert len(keys) == len(set(keys))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_harmless_text_is_one_short_line_that_ends_no_comment(text):
    made = harmless(text)
    assert re.fullmatch(r"[A-Za-z0-9 _.,:+()=%-]{0,163}", made)
    assert harmless(made) == made or len(made) > 160
