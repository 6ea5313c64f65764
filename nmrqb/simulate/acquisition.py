"""Free induction decays of a simulated read-out, with receiver noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nmrqb.sequence.events import Acquire, PulseSequence
from nmrqb.simulate.simulator import SimulatedSequence
from nmrqb.spins.register import SpinRegister


def acquisition(sequence: PulseSequence) -> Acquire:
    """Return the acquisition that ends a sequence.

    Raises
    ------
    ValueError
        Where the sequence does not end with one.
    """
    last = sequence.events[-1]
    if not isinstance(last, Acquire):
        raise ValueError("the sequence must end with an acquisition")
    return last


def noise_free_fid(
    result: SimulatedSequence,
    sequence: PulseSequence,
    register: SpinRegister,
    *,
    offset_hz: float,
    receiver_phase_rad: float = 0.0,
) -> NDArray[np.complex128]:
    """Return the decoupled FID of a simulated scan, shape (points,).

    s(t) = sign(gamma) (r_x + i r_y) exp(i phase + 2 pi i nu t - t/T2*), per spin and in units of
    the polarisation.  The sign of gamma makes the thermal reference positive at phase 0.

    Parameters
    ----------
    result : SimulatedSequence
    sequence : PulseSequence
    register : SpinRegister
    offset_hz : float
        Offset of the line from the carrier, positive towards higher ppm.
    receiver_phase_rad : float
    """
    if result.detected is None:
        raise ValueError("the simulated sequence detected nothing")
    acquire = acquisition(sequence)
    species = register.species(acquire.nucleus)
    t = np.arange(acquire.points) * (acquire.dwell_ticks * sequence.tick_s)
    x, y, _ = result.detected
    start = species.nucleus.sign * (x + 1j * y) * np.exp(1j * receiver_phase_rad)
    decay = 2j * np.pi * offset_hz - 1.0 / species.t2_star_s.value
    fid: NDArray[np.complex128] = start * np.exp(decay * t)
    return fid


def noise_for_snr(amplitude: float, snr: float, dwell_s: float, t2_star_s: float) -> float:
    """Return the noise sigma per channel and point that gives a spectrum this SNR.

    After matched apodisation exp(-t/T2*) a FID A exp(-t/T2*) has peak A T2*/(2 dt) over noise
    sigma sqrt(T2*/(2 dt)): SNR = (A/sigma) sqrt(T2*/(2 dt)).
    """
    return amplitude / snr * math.sqrt(t2_star_s / (2.0 * dwell_s))


def receiver_noise(
    shape: tuple[int, ...], sigma: float, rng: np.random.Generator
) -> NDArray[np.complex128]:
    """Return white complex Gaussian noise with `sigma` in each channel."""
    real, imaginary = rng.standard_normal(shape), rng.standard_normal(shape)
    return np.asarray(sigma * (real + 1j * imaginary), dtype=np.complex128)
