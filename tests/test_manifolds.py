"""An undecoupled multiplet: the battery's polarisation in each charger manifold."""

from functools import reduce
from math import comb

import numpy as np
import pytest

from nmrqb.analysis.manifolds import binomial_weights, fit_manifolds, krawtchouk
from nmrqb.signals.series import Axis, Series

UP, DOWN = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
X = np.array([[0.0, 1.0], [1.0, 0.0]]) / 2.0
Y = np.array([[0.0, -1.0j], [1.0j, 0.0]]) / 2.0
Z = np.diag([0.5, -0.5])
P_EQ = 0.25


def on(operator, k, spins):
    return reduce(np.kron, [operator if i == k else np.eye(2) for i in range(spins)])


def exchanged(satellites, coupling_hz, time_s):
    """Return the battery's p_k and <2 S_z sigma_z> after an exchange, in the full space.

    Spin 0 is the battery at P_EQ, the chargers at polarisation 1 (first order in eps).
    """
    spins = satellites + 1
    hamiltonian = sum(
        2 * np.pi * coupling_hz * on(a, 0, spins) @ on(a, k, spins)
        for a in (X, Y)
        for k in range(1, spins)
    )
    start = P_EQ * on(2 * Z, 0, spins) + sum(on(2 * Z, k, spins) for k in range(1, spins))
    energies, states = np.linalg.eigh(hamiltonian)
    turn = states @ np.diag(np.exp(-1j * energies * time_s)) @ states.conj().T
    deviation = turn @ start @ turn.conj().T / 2**spins
    down = sum(on(DOWN, k, spins) for k in range(1, spins)).diagonal()
    battery = (deviation.diagonal() * on(2 * Z, 0, spins).diagonal()).real
    p = [battery[down == k].sum() / (comb(satellites, k) / 2**satellites) for k in range(spins)]
    charger = on(2 * Z, 1, spins).diagonal()
    return np.array(p), float((battery * charger).sum())


def multiplet(rows, satellites, coupling_hz, gamma_sign, noise, rng, points=4096):
    """Return FIDs of the thermal reference and of rows of p_k, written out line by line."""
    dwell, rate, nu, phase = 1e-3, 4.0, 13.7, 0.8
    t = np.arange(points) * dwell
    weights = binomial_weights(satellites)
    fids = []
    for p in (np.full(satellites + 1, P_EQ), *rows):
        fid = np.zeros(points, complex)
        for k, (w, p_k) in enumerate(zip(weights, p, strict=True)):
            shift = -gamma_sign * coupling_hz * (satellites / 2 - k)
            fid += w * p_k * np.exp(2j * np.pi * (nu + shift) * t - rate * t + 1j * phase)
        fids.append(fid)
    fids = np.array(fids)
    fids += noise * (rng.standard_normal(fids.shape) + 1j * rng.standard_normal(fids.shape))
    count = len(fids)
    return Series(
        fids=fids,
        dwell_s=dwell,
        time_origin_s=0.0,
        carrier_hz=100e6,
        carrier_ppm=0.0,
        nucleus="31P",
        axis=Axis(name="cycles", unit="", values=np.arange(count) * 1.0, source="test"),
        scans=np.ones(count, int),
        reference_row=0,
    )


def fitted(series, satellites, coupling_hz, gamma_sign=1):
    return fit_manifolds(
        series,
        (-1.0, 1.3),
        satellites=satellites,
        coupling_hz=coupling_hz,
        gamma_sign=gamma_sign,
        equilibrium=P_EQ,
    )


def test_krawtchouk_polynomials_sum_the_products_of_chargers():
    from itertools import combinations

    for k in range(6):
        signs = [-1] * k + [1] * (5 - k)
        for q in range(4):
            direct = sum(int(np.prod(c)) for c in combinations(signs, q))
            assert krawtchouk(q, k, 5) == direct


@pytest.mark.parametrize("gamma_sign", [1, -1])
def test_manifolds_after_an_exchange_are_those_of_the_full_space(gamma_sign):
    # a partial exchange leaves the battery correlated with its three chargers
    coupling, rng = 11.0, np.random.default_rng(3)
    truth = [exchanged(3, coupling, t) for t in (0.008, 0.03)]
    rows = [p for p, _ in truth]
    assert max(abs(c) for _, c in truth) < 1e-12  # z order of one charger: none at first order
    series = multiplet(rows, 3, coupling, gamma_sign, 0.01, rng)
    found = fitted(series, 3, 1.02 * coupling, gamma_sign)
    assert abs(found.coupling_hz - coupling) < 4.0 * found.coupling_stderr
    distance = (found.polarisation - np.array(rows)) / found.stderr
    # 3.8 standard errors: one of 8 normal numbers is beyond with probability 1e-3
    assert abs(distance).max() < 3.8
    assert np.ptp(np.array(rows)[1]) > 5.0 * found.stderr.max()


def test_intervals_of_manifold_polarisations_and_correlations_hold_the_truth():
    rng, coupling = np.random.default_rng(8), 11.0
    truth = np.array([[0.3, -0.5, -0.2, 0.1], [1.0, 0.2, -0.6, -0.9]])
    weights = binomial_weights(3)
    moments = [
        sum(w * p * krawtchouk(q, k, 3) for k, (w, p) in enumerate(zip(weights, r, strict=True)))
        / comb(3, q)
        for r in truth
        for q in range(3)
    ]
    inside, correlated, total = 0, 0, 0
    for _ in range(60):
        series = multiplet(truth, 3, coupling, 1, 0.01, rng, points=1024)
        found = fitted(series, 3, coupling)
        inside += (abs(found.polarisation - truth) < 1.96 * found.stderr).sum()
        error = abs(found.correlations - np.reshape(moments, (2, 3)))
        correlated += (error < 1.96 * found.correlations_stderr).sum()
        total += 1
    # 480 and 360 intervals (correlated by fours): 91 to 99 % is four sigma of the binomial
    assert 0.91 < inside / (8 * total) < 0.99
    assert 0.91 < correlated / (6 * total) < 0.99


@pytest.mark.parametrize(("gamma_sign", "coupling"), [(1, 11.0), (-1, 11.0), (1, -11.0)])
def test_c_0_is_the_decoupled_polarisation_and_c_1_counts_the_right_spins(gamma_sign, coupling):
    rng = np.random.default_rng(2)
    truth = np.array([[0.3, -0.5, -0.2, 0.1]])
    found = fitted(multiplet(truth, 3, coupling, gamma_sign, 1e-4, rng), 3, coupling, gamma_sign)
    np.testing.assert_allclose(found.polarisation, truth, atol=2e-3)
    # sum of w_k p_k (N - 2k)/N
    assert found.correlations[0, 1] == pytest.approx((0.3 - 0.5 + 0.2 - 0.1) / 8.0, abs=1e-3)
    mean = float(binomial_weights(3) @ truth[0])
    assert found.correlations[0, 0] == pytest.approx(mean, abs=1e-3)
    ratio = found.line.amplitudes[1] / found.line.amplitudes[0]
    assert P_EQ * ratio == pytest.approx(mean, abs=1e-3)


def test_lines_below_the_noise_of_36_chargers_are_not_given():
    rng = np.random.default_rng(4)
    truth = np.full((1, 37), -0.8)
    series = multiplet(truth, 36, 6.6, -1, 0.01, rng)
    found = fitted(series, 36, 6.6, -1)
    # 2^-36 of the molecules have all chargers up: nothing can be said about them
    assert 0 not in found.chargers_down
    assert 18 in found.chargers_down
    inner = list(found.chargers_down).index(18)
    assert abs(found.polarisation[0, inner] + 0.8) < 4.0 * found.stderr[0, inner]


def test_a_reference_in_the_noise_sets_no_scale():
    rng = np.random.default_rng(4)
    series = multiplet(np.full((1, 4), -0.8), 3, 11.0, 1, 3.0, rng)
    with pytest.raises(ValueError, match="5 standard errors"):
        fitted(series, 3, 11.0)
