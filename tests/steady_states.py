"""The driven, dephased star by routes that share nothing with the package.

Steady states and modes from a singular value decomposition of 50 digits, curves from the sum of
damped oscillators with their complex roots, small Liouvillians from QuTiP's operators.
"""

from functools import cache

import mpmath as mp
import numpy as np
import qutip
from scipy.linalg import expm
from scipy.optimize import least_squares

DIGITS = 50


@cache
def singular_values(batteries, drive):
    """Return U, s, V^T of K = F + J_-/sqrt(N) in the Dicke states, in 50 digits."""
    with mp.workdps(DIGITS):
        n, f = batteries, mp.mpf(str(drive))
        k = mp.zeros(n + 1)
        for m in range(n + 1):
            k[m, m] = f
            if m:
                k[m - 1, m] = mp.sqrt(mp.mpf(m * (n - m + 1)) / n)
        return mp.svd_r(k)


@cache
def steady_matrix(batteries, drive):
    """Return rho_B = sum_k c_k^2 (|u_k><u_k| + |v_k><v_k|)/2, in 50 digits."""
    u, _, v = singular_values(batteries, drive)
    with mp.workdps(DIGITS):
        weights = mp.diag([v[k, 0] ** 2 / 2 for k in range(batteries + 1)])
        return u * weights * u.T + v.T * weights * v


def steady_array(batteries, drive):
    return np.array(steady_matrix(batteries, drive).tolist(), dtype=float)


@cache
def largest_eigenvalue(batteries, drive):
    with mp.workdps(DIGITS):
        return max(mp.eigsy(steady_matrix(batteries, drive), eigvals_only=True))


def passive_energy(batteries, drive):
    """E - W = 1 - r_1: the ground level holds r_1, the N-fold first level the rest."""
    return float(1 - largest_eigenvalue(batteries, drive))


def steady_energy(batteries, drive):
    rho = steady_matrix(batteries, drive)
    return float(sum(n * rho[n, n] for n in range(batteries + 1)))


def locked_energy(batteries, drive):
    return batteries * passive_energy(batteries, drive) / steady_energy(batteries, drive)


@cache
def modes(batteries, drive):
    """Return (amplitude, w) of every mode, in rising w, of E(t) = N/2 + sum amplitude D(w; t)."""
    u, s, v = singular_values(batteries, drive)
    size = batteries + 1
    found = []
    with mp.workdps(DIGITS):
        number = mp.diag(range(size))
        up, down = u.T * number * u, v * number * v.T
        for k in range(size):
            for m in range(size):
                both = v[k, 0] * v[m, 0] / 2
                for amplitude, w in (
                    (both * (up[k, m] + down[k, m]), abs(s[k] - s[m])),
                    (-both * (up[k, m] - down[k, m]), s[k] + s[m]),
                ):
                    if w > mp.mpf(10) ** -40:
                        found.append((float(amplitude), float(w)))
    a, w = np.array(sorted(found, key=lambda mode: mode[1])).T
    # modes of equal w together
    starts = np.flatnonzero(np.diff(w, prepend=-1.0) > 1e-7 * w)
    return np.stack([np.add.reduceat(a, starts), w[starts]], axis=1)


def energy(batteries, drive, dephasing, times):
    """Return E(t) from the complex roots of x'' + (gamma/2) x' + w^2 x = 0, x = 1, x' = 0."""
    a, w = modes(batteries, drive).T
    d = dephasing / 4.0
    root = np.sqrt((d * d - w * w).astype(complex))
    root = np.where(np.abs(root) < 1e-9 * w, 1e-9 * w, root)
    fast = -d - root
    slow = w * w / fast  # the product of the roots: nothing cancels
    t = np.asarray(times, dtype=float)[..., None]
    x = (slow * np.exp(fast * t) - fast * np.exp(slow * t)) / (slow - fast)
    return batteries / 2.0 + (x.real @ a)


def lowest_frequency(batteries, drive):
    """Return the lowest w that carries more than 1e-3 of E(inf)."""
    return significant_modes(batteries, drive)[1][0]


def threshold_time(batteries, drive, dephasing, n=1.0):
    """Return the last time at which |E - E(inf)| = e^-n E(inf), on a fine grid."""
    d, low = dephasing / 4.0, lowest_frequency(batteries, drive)
    slowest = d if d < low else low**2 / (d + np.sqrt(d * d - low * low))
    times = np.linspace(0.0, 8.0 / slowest, 30_001)
    distance = np.abs(energy(batteries, drive, dephasing, times) - batteries / 2.0)
    bound = np.exp(-n) * batteries / 2.0
    last = int(np.flatnonzero(distance > bound)[-1])
    share = (distance[last] - bound) / (distance[last] - distance[last + 1])
    return times[last] + share * (times[last + 1] - times[last])


def dicke_operators(batteries):
    """Return QuTiP's number and lowering operators of charger (x) battery, charger first."""
    jm = qutip.jmat(batteries / 2.0, "-")
    jz = qutip.jmat(batteries / 2.0, "z")
    one = qutip.qeye(batteries + 1)
    low = qutip.destroy(2)
    return {
        "charger": qutip.tensor(low.dag() * low, one),
        "battery": qutip.tensor(qutip.qeye(2), jz + batteries / 2.0),
        "exchange": qutip.tensor(low.dag(), jm) + qutip.tensor(low, jm.dag()),
        "drive": qutip.tensor(low + low.dag(), one),
        # jmat orders from the full battery down
        "start": qutip.ket2dm(
            qutip.tensor(qutip.basis(2, 0), qutip.basis(batteries + 1, batteries))
        ),
    }  # fmt: skip


def liouvillian_energy(batteries, drive, dephasing, times):
    """Return E(t) by an exponential of QuTiP's Liouvillian."""
    o = dicke_operators(batteries)
    h = o["exchange"] / np.sqrt(batteries) + drive * o["drive"]
    liouvillian = qutip.liouvillian(h, [np.sqrt(dephasing) * o["charger"]]).full()
    start = qutip.operator_to_vector(o["start"]).full().ravel()
    row = qutip.operator_to_vector(o["battery"]).full().ravel().conj()
    return np.array([(row @ expm(liouvillian * t) @ start).real for t in times])


def significant_modes(batteries, drive):
    """Return amplitude and w of the modes above 1e-3 of E(inf)."""
    a, w = modes(batteries, drive).T
    strong = np.abs(a) > 1e-3 * batteries / 2.0
    return a[strong], w[strong]


def fitted_time(batteries, drive, dephasing):
    """Return tau and rms residual of 1 - e^(-t/tau) cos(q t + phi), fitted to the mean over one
    period of the fastest mode at 160 places from 0 to five slowest-mode times.
    """
    _, w = significant_modes(batteries, drive)
    d = dephasing / 4.0
    turning = np.sqrt(np.clip(w * w - d * d, 0.0, None))
    rates = np.where(w > d, d, w * w / (d + np.sqrt(np.clip(d * d - w * w, 0.0, None))))
    slow = 1.0 / rates.min()
    window = min(2.0 * np.pi / turning.max() if turning.max() > 0 else 0.0, slow)
    centres = np.linspace(window / 2, 5.0 * slow + window / 2, 160)
    inside = (np.arange(48) + 0.5) / 48 - 0.5
    curve = energy(batteries, drive, dephasing, centres[:, None] + window * inside)
    curve = curve.mean(axis=1) / (batteries / 2.0)
    x = centres / slow

    def form(x, log, q, phi):
        return 1.0 - np.exp(-np.exp(log) * x) * np.cos(q * x + phi)

    best = (np.inf, np.inf)
    for q in (0.0, *np.unique((turning * slow).round(6))):
        for log in (0.0, 1.1):
            if q >= 80.0:
                continue
            found = least_squares(lambda p: form(x, *p) - curve, (log, q, 0.0), max_nfev=200)
            rms = float(np.sqrt(np.mean(found.fun**2)))
            best = min(best, (rms, slow * float(np.exp(-found.x[0]))))
    return best[1], best[0]


@cache
def shortest_fitted_time(batteries, drive):
    """Return (gamma, tau) of the shortest fitted time with a residual of at most 0.1."""

    def at(rate):
        tau, rms = fitted_time(batteries, drive, rate)
        return tau if rms <= 0.1 else np.inf

    w = lowest_frequency(batteries, drive)
    return zoomed(at, 0.1 * w, 60.0 * w, (24, 12))


@cache
def shortest_threshold_time(batteries, drive):
    """Return (gamma, tau) of the shortest threshold time (n = 1)."""
    w = lowest_frequency(batteries, drive)
    return zoomed(
        lambda rate: threshold_time(batteries, drive, rate), 0.1 * w, 60.0 * w, (60, 30, 30)
    )


def zoomed(function, low, high, points):
    for count in points:
        rates = np.geomspace(low, high, count)
        values = [function(rate) for rate in rates]
        k = int(np.argmin(values))
        low, high = rates[max(k - 1, 0)], rates[min(k + 1, count - 1)]
    return rates[k], values[k]
