"""`nmrqb compile`: what it writes, what it refuses, and that its data sets set the reader up."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
from exports import compiled, exportable, made_up, sequence, wide_console

from nmrqb import export, read_series, read_spectrometer
from nmrqb.compiler.limits import check_limits, rf_duty
from nmrqb.errors import InputError, LimitError
from nmrqb.files.bruker import write_bruker
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Loop,
    Pulse,
    PulseSequence,
    Saturation,
    SpinLock,
)
from nmrqb.studies.measurement import simulate_measurement
from nmrqb.studies.plan import make_plan, predict

NATIVE = "asymptotic_native_trimethyl_phosphate"


@pytest.mark.parametrize("target", ["bruker", "varian"])
def test_an_export_is_whole_and_says_what_it_holds(nmrqb, tmp_path, target):
    outcome = nmrqb("compile", NATIVE, "--to", target, "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    told = outcome.json
    assert told["schema"] == "nmrqb/compile/1"
    assert told["status"] == "ok"
    assert (tmp_path / "out" / "SUCCESS").is_file()
    assert (tmp_path / "out" / "result.json").read_text() == outcome.out
    for entry in told["files"]:
        assert (tmp_path / "out" / entry["file"]).is_file()
    (program,) = told["results"]
    plan = nmrqb("plan", NATIVE, "--json").json
    assert told["duration_s"] == pytest.approx(plan["duration_s"])
    energies = {row["row"]: row["rf_energy_joule"] for row in program["rows"]}
    assert [energies[k] for k in sorted(energies)] == plan["rf_energy_joule"]
    checklist = (tmp_path / "out" / "checklist.txt").read_text()
    for words in ("NOT RUN ON HARDWARE", "Low power first", "calibrate"):
        assert words in checklist
    for picture in ("schematic", "to_scale"):
        raw = (tmp_path / "out" / f"sequence_{picture}.png").read_bytes()
        assert raw.startswith(b"\x89PNG")


def test_the_same_inputs_give_the_same_program(nmrqb, tmp_path):
    for name in ("one", "two"):
        nmrqb("compile", NATIVE, "--to", "bruker", "-o", tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_folder_that_is_not_empty_is_not_touched(nmrqb, tmp_path):
    (tmp_path / "mine").write_text("mine")
    outcome = nmrqb("compile", NATIVE, "--to", "bruker", "-o", tmp_path)
    assert outcome.code == 2
    assert "not empty" in outcome.complaint


def test_a_console_must_be_named(nmrqb, tmp_path):
    assert nmrqb("compile", NATIVE, "-o", tmp_path / "out").code == 2
    assert nmrqb("compile", NATIVE, "--to", "jeol", "-o", tmp_path / "out").code == 2
    assert not (tmp_path / "out").exists()


def test_an_ideal_exchange_is_refused_and_nothing_is_written(nmrqb, tmp_path):
    outcome = nmrqb("compile", "asymptotic_ttss", "--to", "bruker", "-o", tmp_path / "o", "--json")
    assert outcome.code == 1
    assert outcome.json["status"] == "no"
    (violation,) = outcome.json["violations"]
    assert "native" in violation["limit"]
    assert not list(tmp_path.iterdir())


def test_every_violation_is_listed_and_nothing_is_written(nmrqb, edited, tmp_path):
    more = """maximum_list = 3
maximum_loop_count = 10
maximum_events = 20
crusher_gradient = "0.6 T/m"
maximum_gradient = "50 G/cm"
maximum_gradient_duty = 1e-6"""
    console = edited(
        "data/spectrometers/generic.toml",
        (r'^maximum_pulse = "100 us"', 'maximum_pulse = "13.33 us"'),
        (r'^maximum_decoupling = "2 s"', 'maximum_decoupling = "0.5 s"'),
        (r"^maximum_list = 256", more),
        (r'^maximum_duration = "72 h"', 'maximum_duration = "0.5 h"'),
    )
    protocol = edited(
        f"protocols/{NATIVE}.toml", (r'^spectrometer = "generic"', f'spectrometer = "{console}"')
    )
    outcome = nmrqb("compile", protocol, "--to", "bruker", "-o", tmp_path / "out", "--json")
    assert outcome.code == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    told = "\n".join(v["message"] for v in outcome.json["violations"])
    for words in (
        "pulse (read) must be at most 13.3 us, but is 14 us",
        "at most 500 ms (500 points)",
        "the number of rows must be at most 3, but is 12",
        "the count of a loop must be at most 10, but is 16",
        "the number of events of a scan must be at most 20",
        "the crusher gradient must be at most 0.5 T/m, but is 0.6 T/m",
        "the duty of the gradient",
        "the whole experiment must be at most 0.5 h",
    ):
        assert words in told, told


def test_programs_of_their_own_count_every_reference(tmp_path):
    job, register, console = compiled("native_steps_trimethyl_phosphate")
    exported = export(job, register, console, "bruker")
    more = 8 * job.reference.duration_s * job.protocol.scans
    assert exported.duration_s == pytest.approx(job.duration_s + more)
    short = dataclasses.replace(console, maximum_duration_s=job.duration_s + more / 2)
    with pytest.raises(LimitError, match="9 programs"):
        export(job, register, short, "bruker")


@pytest.mark.parametrize("name", exportable())
def test_no_export_violates_a_limit(name):
    job, _, console = compiled(name)
    everything = [*job.sequences, job.reference]
    assert check_limits(everything, job.protocol.scans, console) == ()
    for one in everything:
        for nucleus, duty in rf_duty(one).items():
            assert duty <= console.channel(nucleus).maximum_duty
        shortest = min(e.ticks for e, n in one.walk() if n and e.ticks)
        assert shortest * one.tick_s >= console.minimum_delay_s * (1 - 1e-9)


def one_scan(*events):
    console = read_spectrometer("generic")
    end = (Delay(ticks=400, label="dead time"), Acquire(nucleus="31P", points=64, dwell_ticks=2000))
    return PulseSequence(tick_s=console.tick_s, events=(Delay(ticks=10**9), *events, *end))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Delay(ticks=3, label="wait"), "must be 0 s or at least 1 us, but is 150 ns"),
        (Crusher(ticks=2), "crusher gradient with its recovery must be at least 1 us"),
        (Pulse(nucleus="1H", ticks=2001, angle_rad=1.0), "at most 100 us, but is 100.05 us"),
        (Pulse(nucleus="1H", ticks=19, angle_rad=1.0), "at least 1 us, but is 950 ns"),
        (Pulse(nucleus="1H", ticks=240, angle_rad=1.0, amplitude_scale=1.5),
         "power of the 1H pulse .* at most 15 W, but is 22.5 W"),
        (SpinLock(nuclei=("31P", "1H"), ticks=4_000_020, nutation_hz=5000.0),
         "31P spin lock must be at most 200 ms, but is 200.001 ms"),
        (SpinLock(nuclei=("31P", "1H"), ticks=20_000, nutation_hz=6000.0),
         "1H spin lock must be at most 5000 Hz, but is 6000 Hz"),
        (Saturation(nucleus="1H", ticks=20_000_000_000), "1H saturation must be at most 700 s"),
        (Loop(count=9000, body=(Pulse(nucleus="1H", ticks=2000, angle_rad=1.0), Delay(ticks=2000))),
         "duty of the 1H channel must be at most 0.01"),
        (Loop(count=60, body=(SpinLock(nuclei=("1H",), ticks=200_000, nutation_hz=1e3),
                              Delay(ticks=200_000))), "duty of the 1H channel"),
    ],
)  # fmt: skip
def test_every_limit_names_the_nearest_legal_value(event, words):
    found = check_limits([one_scan(event)], 1, read_spectrometer("generic"))
    assert any(re.search(words, str(violation)) for violation in found), found
    assert len(found) == (2 if isinstance(event, SpinLock) else 1)


def test_a_sequence_on_another_clock_is_refused():
    other = PulseSequence(tick_s=1e-6, events=one_scan().events)
    assert any("the tick must be 50 ns" in str(v) for v in check_limits([other], 1, wide_console()))


def test_what_lies_exactly_on_a_limit_is_legal():
    console = read_spectrometer("generic")
    at = Pulse(nucleus="1H", ticks=2000, angle_rad=1.0)  # 100 us
    lock = SpinLock(nuclei=("31P", "1H"), ticks=4_000_000, nutation_hz=5000.0)  # 200 ms at 5 kHz
    relaxed = (Delay(ticks=10**10), at, lock, Delay(ticks=20))
    assert check_limits([one_scan(*relaxed)], 1, console) == ()


def test_a_rounded_pulse_keeps_its_angle_and_its_rounding_is_told():
    from nmrqb import compile_protocol

    job, register, console = compiled(NATIVE)
    # 12 us and 14 us are no whole numbers of 0.9 us
    coarse = dataclasses.replace(console, tick_s=9e-7, minimum_delay_s=9e-7)
    again = compile_protocol(job.protocol, register, coarse)
    exported = export(again, register, coarse, "bruker")
    assert any("90 degree pulse" in r for r in exported.to_result()["roundings"])
    (made,) = exported.jobs
    text = exported.files[f"pp/{made.stem}"]
    times = dict(re.findall(r'"(p\d+) = ([\d.]+)u"', text))
    powers = dict(re.findall(r'"plw(\d+) = plw\d\*pow\(p\d/(p\d+),2\)"', text))
    read = re.search(r"\((p\d+) pl(\d+) ph2\):f1", text)
    # 90 degrees at that power last exactly as long as the pulse on the clock: 14.4 us, not 14 us
    assert float(times[read[1]]) == pytest.approx(14.4)
    assert float(times[powers[read[2]]]) == pytest.approx(14.4)


def test_a_pulse_that_contradicts_itself_is_refused():
    wrong = Pulse(nucleus="31P", ticks=280, angle_rad=1.0, label="wrong")
    tail = (Delay(ticks=400), Acquire(nucleus="31P", points=64, dwell_ticks=2000))
    job, register, _ = made_up([sequence([wrong, *tail])], None, None)
    with pytest.raises(LimitError, match=r"57\.2958 degrees .* make 90 degrees"):
        export(job, register, wide_console(), "bruker")


# ---- the data set of an exported program


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a data set in the order of an exported program, its axis and the export."""
    plan = make_plan("inversion_recovery", seed=5)
    series = simulate_measurement(plan, predict(plan), 5)
    exported = export(plan.compiled, plan.register, plan.spectrometer, "bruker")
    (job,) = exported.jobs
    order = [0, *(1 + k for k in job.program.rows)]
    shuffled = dataclasses.replace(
        series,
        fids=series.fids[order],
        axis=dataclasses.replace(series.axis, values=series.axis.values[order]),
        row_times_s=series.row_times_s[order],
    )
    folder = tmp_path_factory.mktemp("data") / "1"
    write_bruker(folder, shuffled, list_kind="vd", register_name="ttss", title="measured")
    (folder / "pulseprogram").write_text(exported.files[f"pp/{job.stem}"])
    (folder / "vdlist").write_text(exported.files[f"lists/vd/{job.stem}_nqd1"])
    return folder, shuffled, exported


def test_the_reader_sets_itself_up_by_the_annotations_of_the_program(measured):
    folder, meant, _ = measured
    read = read_series(folder)
    np.testing.assert_allclose(read.axis.values, meant.axis.values)
    assert read.axis.unit == "s"
    assert read.reference_row == 0
    np.testing.assert_allclose(read.row_times_s, meant.row_times_s)


def test_a_fit_of_rows_in_random_order_finds_t1(measured, nmrqb):
    folder, _, _ = measured
    told = nmrqb("fit", folder, "--model", "recovery", "--region=-137:-131", "--json")
    assert told.code == 0, told.out
    (region,) = told.json["results"]
    assert region["parameters"]["T1"]["value"] == pytest.approx(115.4, rel=0.1)


def test_a_list_that_disagrees_with_the_annotations_is_refused(measured, tmp_path):
    folder, _, _ = measured
    copy = tmp_path / "1"
    shutil.copytree(folder, copy)
    lines = (copy / "vdlist").read_text().split()
    lines[1], lines[2] = lines[2], lines[1]
    (copy / "vdlist").write_text("\n".join([*lines, ""]))
    with pytest.raises(InputError, match="disagrees"):
        read_series(copy)


@pytest.mark.parametrize("damage", ["1 2", "1 two 3", "nan " * 13])
def test_damaged_annotations_are_refused(measured, tmp_path, damage):
    folder, _, _ = measured
    copy = tmp_path / "1"
    shutil.copytree(folder, copy)
    program = (copy / "pulseprogram").read_text()
    (copy / "pulseprogram").write_text(
        re.sub(r"^;@ axis_values:.*$", f";@ axis_values: {damage}", program, flags=re.MULTILINE)
    )
    with pytest.raises(InputError, match="13 values"):
        read_series(copy)
