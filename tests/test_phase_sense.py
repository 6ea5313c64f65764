"""Phases of nuclei with opposite signs of gamma turn against each other, and what follows."""

import dataclasses
import math

import numpy as np
import pytest
from exports import compiled
from scipy.linalg import expm

from nmrqb import export, read_spectrometer, simulate_sequence
from nmrqb.files.pulse_programs.export import reader_of
from nmrqb.files.pulse_programs.timeline import unrolled
from nmrqb.sequence.events import Loop, Pulse, Segment, SimultaneousPulses

X = np.array([[0, 1], [1, 0]]) / 2
Y = np.array([[0, -1j], [1j, 0]]) / 2
Z = np.diag([0.5, -0.5])


def axis_of_a_field(sign, phase_rad):
    """Return the angle of the rotation axis of 2 w1 cos(w t + phase) on a spin, in its own frame.

    The laboratory frame is integrated: H = -sign (w0 Sz + 2 w1 cos(w0 t + phase) Sx), w0 = 200 w1.
    Two angles to first order in w1/w0 are what is compared.
    """
    w0, w1, steps = 2 * np.pi * 200.0, 2 * np.pi, 100
    step = 1.0 / 200.0 / steps
    u = np.eye(2, dtype=complex)
    for k in range(50 * steps):  # a quarter turn
        t = (k + 0.5) * step
        field = w0 * Z + 2.0 * w1 * math.cos(w0 * t + phase_rad) * X
        u = expm(1j * sign * field * step) @ u
    turned = 50.0 / 200.0
    u = expm(-1j * sign * w0 * turned * Z) @ u  # back into the frame that precesses
    m = u @ Z @ u.conj().T
    x, y = (float(np.trace(m @ s).real) for s in (X, Y))
    return math.atan2(y, x)


@pytest.mark.parametrize("sign", [+1, -1])
def test_a_field_a_quarter_turn_later_turns_about_an_axis_on_the_other_side(sign):
    turn = axis_of_a_field(sign, math.pi / 2) - axis_of_a_field(sign, 0.0)
    # gamma > 0 precesses the negative way: a later field lags there and leads for gamma < 0
    assert math.remainder(turn, 2 * math.pi) == pytest.approx(-sign * math.pi / 2, abs=0.02)


def mirrored(event, nucleus):
    """Return an event whose phases on one nucleus are negated."""
    match event:
        case Pulse():
            phase = -event.phase_rad if event.nucleus == nucleus else event.phase_rad
            return dataclasses.replace(event, phase_rad=phase)
        case SimultaneousPulses():
            pulses = tuple(mirrored(p, nucleus) for p in event.pulses)
            return dataclasses.replace(event, pulses=pulses)
        case Loop() | Segment():
            body = tuple(mirrored(e, nucleus) for e in event.body)
            return dataclasses.replace(event, body=body)
        case _:
            return event


@pytest.mark.parametrize(
    ("name", "row"), [("native_steps_trimethyl_phosphate", 1), ("inept_trimethyl_phosphate", 1)]
)
def test_the_wrong_sense_charges_where_it_should_discharge(name, row):
    job, register, _ = compiled(name)
    right = job.sequences[row]
    wrong = dataclasses.replace(
        right, events=tuple(mirrored(e, register.battery.isotope) for e in right.events)
    )
    reference = simulate_sequence(job.reference, register).detected[0]
    meant, other = (
        (simulate_sequence(s, register).detected[0] / reference).real for s in (right, wrong)
    )
    # the read pulse is mirrored too, as on the console, where the reference would be as well
    other = -other
    assert abs(meant) > 1.0
    # the battery starts saturated: XX - YY moves what XX + YY moves, with the other sign
    assert other == pytest.approx(-meant, rel=0.02)


def phases_of(exported, nucleus):
    (job,) = exported.jobs
    reader = reader_of(job, exported.files, exported.target)
    return [
        field.phase_deg
        for interval in unrolled(reader.row(1 + job.program.rows.index(3)))
        for field in interval.fields
        if field.nucleus == nucleus and field.mode == "pulse"
    ]


@pytest.mark.parametrize("target", ["bruker", "varian"])
def test_only_phases_of_nuclei_with_negative_gamma_are_negated(target):
    job, register, _ = compiled("asymptotic_native_ttss")
    console = read_spectrometer("fast")
    plain = export(job, register, console, target)
    channels = tuple(dataclasses.replace(c, reversed_phase=True) for c in console.channels)
    turned = export(job, register, dataclasses.replace(console, channels=channels), target)
    assert "phases of 29Si are negated" in "".join(plain.notes)
    for nucleus in ("29Si", "1H"):
        a, b = (sorted(phases_of(e, nucleus)) for e in (plain, turned))
        if nucleus == "29Si":
            assert a.count(270.0) == b.count(90.0)
        assert len(a) == len(b)
    assert "negated" not in "".join(
        export(*compiled("asymptotic_native_trimethyl_phosphate"), target).notes
    )
