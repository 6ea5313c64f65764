"""Where charging stops: two crossovers of the resonant star of N qubits, Kac normalisation.

On the Dicke ladder K = F + lambda J_- is, for many batteries, the classical function

    K(x, phi) = F + t(x) e^{i phi},    t(x) = g sqrt(N x (1 - x)),    x = n/N,

and |K| is conserved.  Two different things happen when N grows at a given F/g.

- **The gap closes at N_c = 4 (F/g)^2.**  Beyond it t(x) exceeds F inside the ladder and |K| has
  zeros at t = F, phi = pi, one in each half.  An almost null right vector of K sits at the lower
  one, an almost null left vector at the upper one, and the smallest singular value is what of K
  reaches from one to the other: exponentially little.
- **The empty battery is confined at N_e = 16 (F/g)^2.**  It starts on the contour |K| = F,
  t = -2 F cos(phi).  That contour runs from one end of the ladder to the other while
  2 F > g sqrt(N)/2, the largest t; beyond, it closes on itself in the lower half, and the upper
  half is reached by tunnelling only.

Between N_c and N_e some modes are exponentially slow, but an empty battery does not excite them.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.special import ellipk
from scipy.stats import norm

from nmrqb.models.large_star import crossover_batteries
from nmrqb.models.resonant_qubits import ResonantQubits, folded_drive

Array = NDArray[np.float64]

#: standard deviation of the singular values that an empty battery excites, in units of g
_SPREAD = 0.5
#: steps of inverse iteration; at N_c, where it is slowest, each leaves 0.02 of the error
_MOST_STEPS = 100


def _checked(batteries: int, drive_over_coupling: float) -> None:
    if batteries < 1:
        raise ValueError(f"`batteries` must be at least 1, but is {batteries}")
    if not (np.isfinite(drive_over_coupling) and drive_over_coupling > 0.0):
        raise ValueError(f"`drive_over_coupling` must be positive, but is {drive_over_coupling}")


def confinement_batteries(drive_over_coupling: float) -> float:
    """Return N_e = 16 (F/g)^2, four times N_c: a larger star that starts empty stays low."""
    return 4.0 * crossover_batteries(drive_over_coupling)


def contour_energy(relative_batteries: float) -> float:
    """Return E/(N omega) on the contour |K| = F of a star of N = `relative_batteries` N_e.

    The mean of x on the contour: 1/2 for N <= N_e, else [1 - pi/(2 K(m))]/2 with the complete
    elliptic integral K of the parameter m = N_e/N.
    """
    if not relative_batteries > 0.0:
        raise ValueError(f"`relative_batteries` must be positive, but is {relative_batteries}")
    if relative_batteries <= 1.0:
        return 0.5
    return float(0.5 - np.pi / (4.0 * ellipk(1.0 / relative_batteries)))


def confined_energy(batteries: int, drive_over_coupling: float) -> float:
    """Return E/(N omega) that many batteries reach before they tunnel: that of their contour.

    Parameters
    ----------
    batteries : int
        N.
    drive_over_coupling : float
        F/g > 0.
    """
    _checked(batteries, drive_over_coupling)
    return contour_energy(batteries / confinement_batteries(drive_over_coupling))


def plateau_energy(batteries: int, drive_over_coupling: float) -> float:
    """Return E/(N omega) before tunnelling with the quantum spread of the start included.

    The empty battery is no sharp contour: <K^+ K> = F^2 and its variance is F^2 g^2 for every N,
    so that |K| = s spreads by g/2 about F.  With T = g sqrt(N)/2 a contour s < T - F is confined
    and has

        1 - 2 <x> = pi sqrt(1 - (F - s)^2/T^2)/(2 K(m)),  m = 4 F s/(T^2 - (F - s)^2);

    every other contour is symmetric, <x> = 1/2.

    Parameters
    ----------
    batteries : int
    drive_over_coupling : float
        F/g; the spread is taken as Gaussian, which needs F >> g.
    """
    _checked(batteries, drive_over_coupling)
    f, top = drive_over_coupling, np.sqrt(batteries) / 2.0
    # midpoints of equal shares of the Gaussian: the integrand ends with a logarithmic cusp
    s = f + _SPREAD * norm.ppf((np.arange(4000) + 0.5) / 4000)
    s = s[(s > 0.0) & (s + f < top)]
    room = top**2 - (f - s) ** 2
    low = np.pi * np.sqrt(room) / top / (2.0 * ellipk(4.0 * f * s / room))
    return float(0.5 - np.sum(low) / 8000.0)


def trapped_weight(batteries: int, drive_over_coupling: float) -> float:
    """Return the share of the empty state on singular values below the saddle.

    The saddle of |K| at x = 1/2, phi = pi lies at lambda (N + 1)/2 - F.  For many batteries the
    share is Phi(sqrt N - 4 F/g) with the normal distribution Phi: sharp on the scale of N_e, and
    2 sqrt(N_e) batteries wide.

    Parameters
    ----------
    batteries : int
    drive_over_coupling : float
    """
    _checked(batteries, drive_over_coupling)
    star = ResonantQubits(batteries, drive_over_coupling, 1.0, batteries, 1.0)
    saddle = (batteries + 1.0) / (2.0 * np.sqrt(batteries)) - drive_over_coupling
    return float(np.sum(star.weights[np.abs(star.roots) < saddle] ** 2))


def smallest_singular_value_log(batteries: int, drive_over_coupling: float) -> float:
    """Return ln(s_min/g) of K, however small s_min is.

    Beyond N_c by inverse iteration: K^-1 with alternating signs taken out has positive elements
    only, so that nothing cancels, and sums of logarithms do not underflow.  What is left is the
    rounding of ln prod(lambda_j/F), 1e-12 for thousands of batteries.

    Parameters
    ----------
    batteries : int
    drive_over_coupling : float
    """
    _checked(batteries, drive_over_coupling)
    n, f = batteries, drive_over_coupling
    if n <= crossover_batteries(f):
        diagonal, off, _ = folded_drive(n, f, 1.0 / np.sqrt(n))
        # without its last element A has pairs +-mu; that element moves at most one root across zero
        middle = (max(0, (n + 1) // 2 - 2), min(n, (n + 1) // 2 + 2))
        roots = scipy.linalg.eigvalsh_tridiagonal(diagonal, off, select="i", select_range=middle)
        return float(np.log(np.min(np.abs(roots))))
    m = np.arange(1.0, n + 1.0)
    steps = (np.log(m) + np.log(n - m + 1.0) - np.log(n)) / 2.0 - np.log(f)
    products = np.concatenate([[0.0], np.cumsum(steps)])

    def inverse(vector: Array) -> Array:
        # y_k = sum_(m >= k) x_m prod_(k < j <= m) (lambda_j/F)/F, all in logarithms
        sums: Array = np.logaddexp.accumulate((vector + products)[::-1])[::-1]
        result: Array = sums - products - np.log(f)
        return result

    vector, last = np.zeros(n + 1), np.inf
    rounding = 8.0 * np.finfo(float).eps * max(1.0, float(np.max(np.abs(products))))
    for _ in range(_MOST_STEPS):
        # K is persymmetric: the transposed inverse is the inverse upside down
        image = inverse(vector)
        value = _log_norm(vector) - _log_norm(image)
        if abs(value - last) < rounding:
            return float(value)
        last = value
        vector = inverse(image[::-1])[::-1]
        vector -= _log_norm(vector)
    raise ValueError(f"s_min of {n} batteries has not converged in {_MOST_STEPS} steps")


def _log_norm(logarithms: Array) -> float:
    top = float(np.max(logarithms))
    return top + 0.5 * float(np.log(np.sum(np.exp(2.0 * (logarithms - top)))))


def tunnelling_exponent(batteries: int, drive_over_coupling: float) -> float:
    """Return N (artanh a - a), a = sqrt(1 - N_c/N): s_min falls as e^-this beyond N_c, 0 before.

    The integral of ln(t/F) between the two zeros of K.
    """
    _checked(batteries, drive_over_coupling)
    a = np.sqrt(max(0.0, 1.0 - crossover_batteries(drive_over_coupling) / batteries))
    return float(batteries * (np.arctanh(a) - a))


def gap_variable(batteries: int, drive_over_coupling: float) -> tuple[float, float]:
    """Return (y, u): near N_c the smallest singular value of K is g u G(y).

    About the middle of the ladder K = u [y + eta^2 - d/d eta] with eta = (n - N/2)/l,
    l = (N^2/2)^(1/3), u = T/l, y = (F/g - T) l/T and T = (N + 1)/(2 sqrt N): y runs as
    (N_c - N)/N^(1/3) and u falls as N^(-1/6).

    Parameters
    ----------
    batteries : int
    drive_over_coupling : float
    """
    _checked(batteries, drive_over_coupling)
    n = batteries
    top = (n + 1.0) / (2.0 * np.sqrt(n))
    length = (n * n / 2.0) ** (1.0 / 3.0)
    return float((drive_over_coupling - top) * length / top), float(top / length)


def gap_function(y: float) -> float:
    """Return G(y), the smallest singular value of y + eta^2 - d/d eta on the line.

    G^2 is the ground energy of -d^2/d eta^2 + (y + eta^2)^2 - 2 eta: supersymmetric quantum
    mechanics whose superpotential is even, so that no state of zero energy exists.
    G(0) = 0.749757; G -> y for large y, and as e^(-4 |y|^(3/2)/3) for large negative y.

    Parameters
    ----------
    y : float
        -4 to 1e4: below, G is lost in rounding.

    References
    ----------
    E. Witten, Nucl. Phys. B 188, 513 (1981).
    """
    if not -4.0 <= y <= 1e4:
        raise ValueError(f"`y` must be -4 to 1e4, but is {y}")
    # Hermite functions of the width of the potential; creation and annihilation make d and eta
    count = 160
    width = (1.0 + 2.0 * abs(y)) ** -0.25
    low = np.diag(np.sqrt(np.arange(1.0, count)), 1)
    eta, slope = width * (low + low.T) / np.sqrt(2.0), (low - low.T) / (np.sqrt(2.0) * width)
    operator = y * np.eye(count) + eta @ eta - slope
    # all rows that the kept columns reach: the smallest singular value is then variational
    return float(np.linalg.svd(operator[:, :-2], compute_uv=False)[-1])
