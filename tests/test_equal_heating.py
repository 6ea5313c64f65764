"""Dummy pulses make the RF energy of all scans equal, and leave the spins as they are."""

import dataclasses
import functools
import math
import re

import numpy as np
import pytest
from exports import compiled, made_up, sequence, wide_console
from scipy.linalg import expm
from test_vnmrj_programs import gcc, runs_as_meant  # noqa: F401  (a fixture)

from nmrqb import compile_protocol, export
from nmrqb.compiler.hazards import rf_energy
from nmrqb.compiler.heating import MAX_DISTURBANCE
from nmrqb.compiler.limits import check_limits, rf_duty
from nmrqb.errors import InputError
from nmrqb.files.pulse_programs.export import reader_of
from nmrqb.files.pulse_programs.sequence_timeline import sequence_timeline
from nmrqb.files.pulse_programs.timeline import first_difference
from nmrqb.sequence.dummy_pulses import MAX_EXCITATION, DummyPulses
from nmrqb.sequence.events import Acquire, Delay
from nmrqb.simulate.simulator import StarSimulator

#: cycles that invert, swept delays of a battery's T1, rows of one program each, opposite gammas
NAMES = (
    "asymptotic_native_trimethyl_phosphate",
    "inversion_recovery",
    "native_steps_trimethyl_phosphate",
    "asymptotic_native_ttss",
)


@functools.cache
def heated(name):
    """Return a shipped protocol compiled to equal heating, with register and spectrometer."""
    job, register, console = compiled(name)
    protocol = dataclasses.replace(job.protocol, heating="equal")
    return compile_protocol(protocol, register, console), register, console


def trains(one):
    return [event for event in one.events if isinstance(event, DummyPulses)]


@pytest.mark.parametrize("name", NAMES)
def test_every_scan_sends_the_same_energy_within_one_dummy_pulse(name):
    job, _, console = heated(name)
    scans = [*job.sequences, job.reference]
    for nucleus in {t.nucleus for s in scans for t in trains(s)}:
        channel = console.channel(nucleus)
        joules = [rf_energy(s, console)[nucleus] for s in scans]
        (power,) = {
            channel.pulse_power_watt * t.amplitude_scale**2
            for s in scans for t in trains(s) if t.nucleus == nucleus
        }  # fmt: skip
        (ticks,) = {t.on_ticks for s in scans for t in trains(s) if t.nucleus == nucleus}
        assert max(joules) - min(joules) <= power * ticks * console.tick_s * (1 + 1e-9)
        # and before they were not
        plain = compiled(name)[0]
        before = [
            rf_energy(s, console).get(nucleus, 0.0) for s in (*plain.sequences, plain.reference)
        ]
        assert max(before) - min(before) > 5 * (max(joules) - min(joules))
    assert not any("left as it is" in words for words in job.warnings)


@pytest.mark.parametrize("name", NAMES)
def test_dummies_break_no_limit_and_make_no_scan_longer(name):
    job, _, console = heated(name)
    plain = compiled(name)[0]
    assert check_limits([*job.sequences, job.reference], job.protocol.scans, console) == ()
    assert [s.ticks for s in job.sequences] == [s.ticks for s in plain.sequences]
    assert job.reference.ticks == plain.reference.ticks
    for one in job.sequences:
        for nucleus, duty in rf_duty(one).items():
            assert duty <= console.channel(nucleus).maximum_duty


@pytest.mark.parametrize("name", ["inversion_recovery", "inept_trimethyl_phosphate"])
def test_to_the_spins_dummies_are_a_delay(name):
    job, register, _ = heated(name)
    plain = compiled(name)[0]
    one, other = StarSimulator(register), StarSimulator(register)
    for a, b in zip([*job.sequences, job.reference], [*plain.sequences, plain.reference],
                    strict=True):  # fmt: skip
        assert one.simulate(a).detected == pytest.approx(other.simulate(b).detected, abs=1e-12)


def z_after(train, off_carrier_hz, b1=1.0):
    """Return z after one dummy pulse, by the exponential of the rotating-frame Hamiltonian."""
    x, z = np.array([[0, 0.5], [0.5, 0]]), np.diag([0.5, -0.5])
    seconds = train.on_ticks * wide_console().tick_s
    field = b1 * train.nutation_hz * x + (off_carrier_hz - train.offset_hz) * z
    u = expm(-2j * math.pi * seconds * field)
    return 2.0 * float(np.trace(z @ u @ z @ u.conj().T).real)


@pytest.mark.parametrize("name", ["asymptotic_native_trimethyl_phosphate", "inversion_recovery"])
def test_a_dummy_pulse_turns_z_by_no_more_than_it_says(name):
    for train in trains(heated(name)[0].sequences[0]):
        assert train.excitation <= MAX_EXCITATION
        # whole turns about the effective field: nothing is left on the carrier
        assert 1.0 - z_after(train, 0.0) < 1e-6
        lost = [
            1.0 - z_after(train, off, b1)
            for off in np.linspace(-2000.0, 2000.0, 81)
            for b1 in (0.8, 1.0, 1.05)
        ]
        nearest = (train.offset_hz - 2000.0) / train.offset_hz
        bound = 2.0 * train.excitation * (1.05 / nearest) ** 2
        assert 0.1 * bound < max(lost) <= bound


def test_what_dummies_leave_of_z_is_bounded_and_told():
    job, register, _ = heated("inversion_recovery")
    told = "".join(job.warnings)
    (stated,) = re.findall(r"at most (\S+) of z is missing when the delay ends", told)
    assert float(stated) <= MAX_DISTURBANCE
    worst = 0.0
    for one in [*job.sequences, job.reference]:
        (train,) = trains(one)
        left_s = one.events[1].ticks * one.tick_s
        lost = min(1.0, 2.0 * train.count * train.excitation)
        worst = max(worst, lost * math.exp(-left_s / register.center.t1_s.value))
    assert float(stated) == pytest.approx(worst, rel=0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maximum_duty": 2e-3}, "duty would be"),
        ({"maximum_pulse_s": 30e-6, "maximum_power_watt": 60.0}, "of the relaxation delay"),
    ],
)
def test_a_channel_whose_limits_forbid_dummies_is_left_as_it_is_and_told(change, words):
    name = "asymptotic_native_trimethyl_phosphate"
    job, register, console = compiled(name)
    if "maximum_pulse_s" in change:
        # 30 us pulses of a tenth of the power: thousands are needed, in a delay cut short
        prepare = dataclasses.replace(job.protocol.prepare[0], relaxation_s=0.3)
        protocol = dataclasses.replace(job.protocol, prepare=(prepare,))
    else:
        protocol = job.protocol
    channels = tuple(
        dataclasses.replace(c, **change) if c.nucleus == "31P" else c for c in console.channels
    )
    narrow = dataclasses.replace(console, channels=channels)
    equal = compile_protocol(dataclasses.replace(protocol, heating="equal"), register, narrow)
    plain = compile_protocol(protocol, register, narrow)
    (said,) = [w for w in equal.warnings if "31P is left as it is" in w]
    assert words in said
    for a, b in zip(equal.sequences, plain.sequences, strict=True):
        assert rf_energy(a, narrow)["31P"] == rf_energy(b, narrow)["31P"]
        assert not any(t.nucleus == "31P" for t in trains(a))


@pytest.mark.parametrize("target", ["bruker", "varian"])
@pytest.mark.parametrize("name", NAMES)
def test_exported_dummies_come_back_to_the_tick_with_offset_and_count(name, target):
    exported = export(*heated(name), target)
    assert not any("differs between rows" in note for note in exported.notes)
    for job in exported.jobs:
        reader = reader_of(job, exported.files, target)
        rows = [job.compiled.reference, *(job.compiled.sequences[k] for k in job.program.rows)]
        for place, one in enumerate(rows):
            meant = sequence_timeline(one, job.spectrometer, switch_off_ticks=job.switch_off_ticks)
            assert first_difference(reader.row(place), meant) is None
    if name != "native_steps_trimethyl_phosphate":
        assert len(exported.jobs) == len(export(*compiled(name), target).jobs)


def test_the_compiled_sequence_switches_the_frequency_as_the_protocol_says(gcc, tmp_path):  # noqa: F811
    runs_as_meant(gcc, tmp_path, export(*heated("inversion_recovery"), "varian"))


@pytest.mark.parametrize(
    ("target", "damage"),
    [
        ("bruker", (r"fq=cnst20:f(\d)", r"fq=0:f\1")),
        ("bruker", (r'"cnst20 = (\d)', r'"cnst20 = 1\1')),
        ("bruker", (r" fq=0:f1", "")),
        ("varian", (r"obsoffset\(tof \+ \d", "obsoffset(tof + 1")),
        ("varian", (r"obsoffset\(tof\);\n", "")),
    ],
)
def test_a_wrong_offset_is_found(target, damage):
    exported = export(*heated("inversion_recovery"), target)
    (job,) = exported.jobs
    path = f"pp/{job.stem}" if target == "bruker" else f"psglib/{job.stem}.c"
    text, count = re.subn(*damage, exported.files[path])
    assert count
    reader = reader_of(job, dict(exported.files) | {path: text}, target)
    meant = sequence_timeline(job.compiled.reference, job.spectrometer)
    if damage[1]:
        assert first_difference(reader.row(0), meant) is not None
    else:
        with pytest.raises(InputError, match="off its carrier"):
            list(reader.rows())


def test_pulses_that_excite_too_much_are_no_dummies():
    near = DummyPulses(
        nucleus="1H", count=3, on_ticks=2000, off_ticks=2000, amplitude_scale=1.0,
        nutation_hz=20833.0, offset_hz=1e5,
    )  # fmt: skip
    tail = (Delay(ticks=400), Acquire(nucleus="31P", points=64, dwell_ticks=2000))
    job, _, console = made_up([sequence([near, Delay(ticks=10**6), *tail])], None, None)
    (violation,) = check_limits(job.sequences, 1, console)
    assert "(nutation/offset)^2" in violation.what
    assert violation.limit == "at most 0.01"


def test_an_unknown_heating_is_one_line(nmrqb, edited):
    protocol = edited(
        "protocols/inversion_recovery.toml", (r"^scans = 2", 'scans = 2\nheating = "hot"')
    )
    outcome = nmrqb("plan", protocol)
    assert outcome.code == 2
    assert "as-is, equal" in outcome.complaint
