"""Channels of one spin: complete positivity, trace norm and diamond norm of their differences."""

import math

import cvxpy
import numpy as np
import pytest
import qutip

import nmrqb.quantum.channel_norms as norms
from nmrqb.errors import ConvergenceError
from nmrqb.quantum.channel_norms import (
    diamond_norm,
    phase_covariant_diamond_norm,
    population_norm,
    trace_distance,
    trace_norm,
)
from nmrqb.quantum.channels import PAULI, BlochChannel, choi_of, matrix_along

#: what the interior-point solver leaves of its semidefinite programs
SDP = 2e-6
#: where the solver stops short of its own goal (1e-8) it says so; the comparison judges the result
ALMOST = pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
IDENTITY = BlochChannel.phase_covariant(1.0, 1.0, 0.0)


def kraus_channel(operators):
    """Return the channel of Kraus operators."""

    def output(x):
        return sum(k @ x @ k.conj().T for k in operators)

    columns = [output(sigma) for sigma in PAULI]
    return BlochChannel(
        matrix=np.array([[np.trace(p @ c).real / 2 for c in columns] for p in PAULI]),
        shift=np.array([np.trace(p @ output(np.eye(2))).real / 2 for p in PAULI]),
    )


def random_kraus(rng, rank):
    blocks = rng.normal(size=(2 * rank, 2)) + 1j * rng.normal(size=(2 * rank, 2))
    return np.linalg.qr(blocks)[0].reshape(rank, 2, 2)


def random_covariant(rng):
    longitudinal = rng.uniform(-1, 1)
    shift = (1 - abs(longitudinal)) * rng.uniform(-1, 1)
    # completely positive up to |m| = sqrt((1 + lambda)^2 - t^2)/2
    largest = math.sqrt(max((1 + longitudinal) ** 2 - shift**2, 0.0)) / 2
    transverse = largest * rng.uniform() * np.exp(2j * np.pi * rng.uniform())
    return BlochChannel.phase_covariant(longitudinal, transverse, shift)


def rotation(axis, angle):
    generator = -0.5j * angle * matrix_along(np.array(axis) / np.linalg.norm(axis))
    values, vectors = np.linalg.eigh(1j * generator)
    return kraus_channel([(vectors * np.exp(-1j * values)) @ vectors.conj().T])


class SemidefiniteProgram:
    """2 min {largest eigenvalue of tr_1 Z: Z >= 0, Z >= J}, set up once."""

    def __init__(self):
        dual = cvxpy.Variable((4, 4), hermitian=True)
        level = cvxpy.Variable()
        self.real, self.imaginary = cvxpy.Parameter((4, 4)), cvxpy.Parameter((4, 4))
        choi = self.real + 1j * self.imaginary
        traced = cvxpy.partial_trace(dual, [2, 2], 0)
        self.problem = cvxpy.Problem(
            cvxpy.Minimize(2 * level),
            [dual >> 0, dual - choi >> 0, level * np.eye(2) - traced >> 0],
        )

    def diamond_norm(self, first, second):
        choi = first.choi() - second.choi()
        scale = np.abs(choi).max()
        self.real.value, self.imaginary.value = choi.real / scale, choi.imag / scale
        return scale * self.problem.solve(solver=cvxpy.CLARABEL, warm_start=True)


@pytest.fixture(scope="module")
def program():
    return SemidefiniteProgram()


def output_norms(channel_pair, shares):
    """Trace norms that sqrt(l)|00> + sqrt(1 - l)|11> reach, from the 4 x 4 outputs."""
    first, second = channel_pair
    roots = np.sqrt(np.stack([shares, 1 - shares, shares, 1 - shares], axis=1))
    outputs = roots[:, :, None] * (first.choi() - second.choi()) * roots[:, None, :]
    return np.abs(np.linalg.eigvalsh(outputs)).sum(axis=1)


def test_a_partial_transpose_is_not_completely_positive_and_channels_are():
    transpose = BlochChannel(matrix=np.diag([1.0, -1.0, 1.0]), shift=np.zeros(3))
    assert not transpose.is_physical()
    assert np.linalg.eigvalsh(transpose.choi())[0] == pytest.approx(-1.0)
    rng = np.random.default_rng(3)
    for rank in (1, 2, 4):
        channel = kraus_channel(random_kraus(rng, rank))
        assert channel.is_physical()
        assert np.trace(channel.choi()) == pytest.approx(2.0)
    # |s| <= 1 - |lambda|
    assert not BlochChannel.phase_covariant(0.5, 0.0, 0.51).is_physical()


def test_rotations_about_z_commute_with_covariant_channels_only():
    assert BlochChannel.phase_covariant(0.3, 0.2 + 0.4j, 0.1).is_phase_covariant()
    assert rotation((0, 0, 1), 1.0).is_phase_covariant()
    assert not rotation((1, 0, 0), 1e-6).is_phase_covariant()
    assert not BlochChannel(
        matrix=0.1 * np.eye(3), shift=np.array([0.1, 0, 0])
    ).is_phase_covariant()


def test_channels_compose_as_they_act():
    rng = np.random.default_rng(4)
    one, two = (kraus_channel(random_kraus(rng, 2)) for _ in range(2))
    r = rng.normal(size=(5, 3)) / 4
    assert (two @ one)(r) == pytest.approx(two(one(r)), abs=1e-14)
    assert one.power(3)(r) == pytest.approx(one(one(one(r))), abs=1e-14)
    assert one.power(0)(r) == pytest.approx(r)
    assert one(one.fixed_point()) == pytest.approx(one.fixed_point(), abs=1e-12)
    assert IDENTITY.fixed_point() is None


@pytest.mark.parametrize(
    ("m", "longitudinal", "without", "kept_aside"),
    [
        (0.3, 1.0, 0.7, 0.7),  # dephasing by 1 - m: a second spin does not help
        (0.4, 0.4, 0.6, 0.9),  # depolarising by p = 0.6: 2 p (1 - 1/4) with it
        (0.0, -1.0, 2.0, 2.0),  # populations exchanged, coherence lost: told apart for certain
    ],
)
def test_textbook_channels_are_as_far_from_doing_nothing_as_textbooks_say(
    m, longitudinal, without, kept_aside
):
    channel = BlochChannel.phase_covariant(longitudinal, m, 0.0)
    assert trace_norm(IDENTITY, channel).value == pytest.approx(without, abs=1e-12)
    assert diamond_norm(IDENTITY, channel).value == pytest.approx(kept_aside, abs=1e-12)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 0, 0), (1, 2, 3)])
def test_two_rotations_differ_by_twice_the_sine_of_half_the_angle(axis):
    # Aharonov, Kitaev, Nisan (1998): 2 sqrt(1 - d^2), d = cos(angle/2)
    for angle in (1e-6, 0.3, 2.0):
        found = diamond_norm(IDENTITY, rotation(axis, angle))
        assert found.value == pytest.approx(2 * math.sin(angle / 2), rel=1e-6)
        assert found.upper >= found.value


def test_the_closed_diamond_norm_is_the_maximum_over_all_entangled_inputs():
    rng = np.random.default_rng(5)
    shares = np.linspace(0, 1, 501)
    ends = 0
    for _ in range(100):
        pair = random_covariant(rng), random_covariant(rng)
        found = diamond_norm(*pair)
        share = (1 + found.bloch[2]) / 2
        ends += share in (0.0, 1.0)
        assert output_norms(pair, np.array([share])) == pytest.approx(found.value, abs=1e-12)
        assert output_norms(pair, shares).max() <= found.value + 1e-12
    assert 5 < ends < 95  # both branches were met


@ALMOST
def test_covariant_pairs_agree_with_the_semidefinite_program(program):
    rng = np.random.default_rng(6)
    for _ in range(150):
        pair = random_covariant(rng), random_covariant(rng)
        assert diamond_norm(*pair).value == pytest.approx(program.diamond_norm(*pair), abs=SDP)


@ALMOST
def test_any_pairs_agree_with_the_semidefinite_program(program):
    rng = np.random.default_rng(7)
    for k in range(150):
        pair = [kraus_channel(random_kraus(rng, 1 + k % 4)) for _ in range(2)]
        found = diamond_norm(*pair)
        assert found.value == pytest.approx(program.diamond_norm(*pair), abs=SDP)
        assert found.value <= found.upper <= found.value + 1e-6


@ALMOST
def test_qutip_finds_the_same_diamond_norms():
    rng = np.random.default_rng(8)
    for k in range(4):
        kraus = [random_kraus(rng, 1 + k) for _ in range(2)]
        superoperators = [qutip.kraus_to_super([qutip.Qobj(m) for m in ks]) for ks in kraus]
        theirs = qutip.dnorm(*superoperators, solver="CLARABEL", force_solve=True)
        ours = diamond_norm(*(kraus_channel(ks) for ks in kraus))
        assert ours.value == pytest.approx(theirs, abs=1e-5)


def test_the_general_method_meets_the_closed_form():
    rng = np.random.default_rng(9)
    for _ in range(25):
        one, two = random_covariant(rng), random_covariant(rng)
        closed = diamond_norm(one, two).value
        choi = choi_of(one.matrix - two.matrix, one.shift - two.shift)
        general = norms._general_diamond_norm(choi, trace_norm(one, two))
        assert general.value <= closed + 1e-12
        assert general.upper >= closed - 1e-12
        assert general.value == pytest.approx(closed, abs=1e-9)


def test_no_input_exceeds_the_trace_norm_and_its_own_reaches_it():
    rng = np.random.default_rng(10)
    for k in range(60):
        if k % 2:
            pair = random_covariant(rng), random_covariant(rng)
        else:
            pair = [kraus_channel(random_kraus(rng, 1 + k % 4)) for _ in range(2)]
        found = trace_norm(*pair)
        assert np.linalg.norm(found.bloch) == pytest.approx(1.0)
        assert 2 * trace_distance(*pair, found.bloch) == pytest.approx(found.value, abs=1e-12)
        assert found.upper == pytest.approx(found.value, abs=1e-9)
        r = rng.normal(size=(500, 3))
        r /= np.linalg.norm(r, axis=1)[:, None]
        assert 2 * trace_distance(*pair, r).max() <= found.value + 1e-12
        assert population_norm(*pair) <= found.value + 1e-12
        assert found.value <= diamond_norm(*pair).value + 1e-6


def test_the_trace_norm_holds_where_the_shift_is_across_the_widest_axis():
    # |A r + t|^2 = (2 x)^2 + (z + t)^2: at z = t/3 inside the sphere, at the pole where t > 3
    for t, expected in ((0.6, math.sqrt(4 + 0.36 * 4 / 3)), (4.0, 5.0)):
        wide = BlochChannel(matrix=np.diag([2.0, 0.5, 1.0]), shift=np.array([0.0, 0.0, t]))
        none = BlochChannel(matrix=np.zeros((3, 3)), shift=np.zeros(3))
        assert trace_norm(wide, none).value == pytest.approx(expected, abs=1e-12)


def test_a_later_channel_never_makes_two_channels_easier_to_tell_apart():
    rng = np.random.default_rng(11)
    for _ in range(8):
        one, two, later = (kraus_channel(random_kraus(rng, 2)) for _ in range(3))
        before, after = diamond_norm(one, two), diamond_norm(later @ one, later @ two)
        assert after.value <= before.value + 1e-9


def test_norms_keep_their_digits_for_almost_equal_channels():
    rng = np.random.default_rng(12)
    one, two = (kraus_channel(random_kraus(rng, 3)) for _ in range(2))
    for small in (1e-3, 1e-7):
        near = BlochChannel(
            matrix=one.matrix + small * (two.matrix - one.matrix),
            shift=one.shift + small * (two.shift - one.shift),
        )
        # the subtraction itself loses 1e-16/small
        for norm in (diamond_norm, trace_norm):
            assert norm(one, near).value == pytest.approx(small * norm(one, two).value, rel=1e-7)
    assert diamond_norm(one, one).value == trace_norm(one, one).value == 0.0


def test_the_closed_form_is_continuous_where_its_branches_meet():
    for a, c in ((0.3, 0.2), (0.3, -0.2), (0.3, 0.0)):
        edge = math.sqrt(a * a + min(a * c, 0.0))  # R = |a|
        inside, _ = phase_covariant_diamond_norm(a, c, edge * (1 + 1e-9))
        outside, _ = phase_covariant_diamond_norm(a, c, edge * (1 - 1e-9))
        assert inside == pytest.approx(outside, abs=1e-8)


def test_a_norm_that_its_bound_does_not_confirm_is_refused(monkeypatch):
    monkeypatch.setattr(norms, "_newton", lambda *_: None)  # stays at the first input
    rng = np.random.default_rng(13)
    pair = [kraus_channel(random_kraus(rng, 3)) for _ in range(2)]
    with pytest.raises(ConvergenceError, match="upper bound"):
        diamond_norm(*pair)


@pytest.mark.parametrize(
    ("matrix", "shift", "words"),
    [
        (np.eye(2), np.zeros(3), "3 x 3"),
        (np.eye(3), np.array([0.0, np.nan, 0.0]), "finite"),
    ],
)
def test_maps_that_are_none_are_refused(matrix, shift, words):
    with pytest.raises(ValueError, match=words):
        BlochChannel(matrix=matrix, shift=shift)
    with pytest.raises(ValueError, match="`times`"):
        IDENTITY.power(-1)
