"""What each charger manifold of an undecoupled battery multiplet tells.

With N equivalent chargers the battery has N + 1 lines, one for each number k of chargers that are
down.  At high temperature manifold k holds the share w_k = C(N, k)/2^N of the molecules, and its
line carries w_k p_k: the battery's polarisation among them.  The thermal reference has p_k = p_eq.

To first order in eps the lines do not show the chargers' own polarisation.  They show how the
battery is correlated with them: the mean of the (q + 1)-spin orders 2<S_z sigma_z ... sigma_z> over
all sets of q chargers is

    c_q = sum_k w_k p_k K_q(k)/C(N, q),   K_q the Krawtchouk polynomials,

c_0 the decoupled polarisation, c_1 the two-spin order with one charger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import least_squares

from nmrqb.analysis.lines import Bins, lorentzian, spectrum_bins
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.analysis.regions import scan_weights
from nmrqb.analysis.series_fit import MIN_BINS, fit_series
from nmrqb.signals.series import Series

Array = NDArray[np.float64]

#: a manifold whose reference line is this many standard errors or less is not fitted
_LEAST_SNR = 0.3
#: share of the molecules that the fitted manifolds must hold for a moment over all of them
_LEAST_SHARE = 0.99
#: highest order of correlation that is reported
_ORDERS = 2
#: a polarisation that is known no better than this (eps) is withheld
_LARGEST_ERROR = 1.0
#: probability below which a correlation is called one
_CORRELATED = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifoldFit:
    """Polarisation of the battery in each charger manifold, row by row.

    Attributes
    ----------
    line : RegionFit
        The whole multiplet: amplitudes are sums over the fitted manifolds.
    satellites : int
        N.
    coupling_hz, coupling_stderr : float
        J as fitted, sign as given.
    chargers_down : ndarray of int, shape (manifolds,)
        k of the fitted ones; the others lie below the noise.
    polarisation : ndarray, shape (rows - 1, manifolds)
        r_z (energy label) in units of eps.
    stderr : ndarray, shape (rows - 1, manifolds)
        The reference's error included.
    correlations, correlations_stderr : ndarray, shape (rows - 1, 3), or None
        c_0, c_1, c_2 (as many as there are chargers); None where the fitted manifolds hold less
        than 99 % of the molecules.
    """

    line: RegionFit
    satellites: int
    coupling_hz: float
    coupling_stderr: float
    chargers_down: NDArray[np.int64]
    polarisation: Array
    stderr: Array
    correlations: Array | None
    correlations_stderr: Array | None

    def words(self) -> list[str]:
        """Return what the manifolds say of the chargers, one sentence each."""
        n = self.satellites
        seen = (
            f"{len(self.chargers_down)} of {n + 1} charger manifolds have lines above the noise; "
            "to first order in eps they do not show the chargers' own polarisation, but how the "
            "battery is correlated with them"
        )
        found = [seen]
        if self.correlations is None or self.correlations_stderr is None:
            return [*found, "too few manifolds are seen to say how"]
        for q in range(1, self.correlations.shape[1]):
            ratio = self.correlations[:, q] / self.correlations_stderr[:, q]
            p = float(stats.chi2.sf(float(ratio @ ratio), len(ratio)))
            row = int(np.argmax(np.abs(ratio)))
            size = f"{self.correlations[row, q]:.3g} +- {self.correlations_stderr[row, q]:.2g}"
            which = f"with {q} charger{'s' if q > 1 else ''} at a time (c_{q})"
            found.append(
                f"correlated {which}: largest {size} (p = {p:.2g})"
                if p < _CORRELATED
                else f"no correlation {which} is seen (p = {p:.2g})"
            )
        return found

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        weights = binomial_weights(self.satellites)
        rows = []
        for k in range(len(self.polarisation)):
            manifolds = []
            for j, down in enumerate(self.chargers_down):
                error = float(self.stderr[k, j])
                known = error < _LARGEST_ERROR
                manifolds.append(
                    {
                        "chargers_down": int(down),
                        "weight": weights[down],
                        "r_z": self.polarisation[k, j] if known else None,
                        "stderr": error if known else None,
                        "reason": None if known else f"not identifiable: error {error:.2g} eps",
                    }
                )
            row: dict[str, Any] = {"row": k, "manifolds": manifolds}
            if self.correlations is not None and self.correlations_stderr is not None:
                row["correlations"] = self.correlations[k]
                row["correlations_stderr"] = self.correlations_stderr[k]
            rows.append(row)
        return {
            "coupling_hz": self.coupling_hz,
            "coupling_stderr_hz": self.coupling_stderr,
            "correlations_are": "c_q: battery with q chargers, mean over all sets of q; c_0 alone",
            "words": self.words(),
            "rows": rows,
        }


def binomial_weights(satellites: int) -> Array:
    """Return w_k = C(N, k)/2^N, k = 0 ... N chargers down."""
    return np.array([comb(satellites, k) / 2.0**satellites for k in range(satellites + 1)])


def krawtchouk(order: int, down: int, satellites: int) -> int:
    """Return K_q(k): the sum over all sets of q chargers of the product of their sigma_z."""
    return sum(
        (-1) ** j * comb(down, j) * comb(satellites - down, order - j) for j in range(order + 1)
    )


def manifold_offsets(satellites: int, coupling_hz: float, gamma_sign: int) -> Array:
    """Return the offsets of the lines from the middle of the multiplet, Hz towards higher ppm.

    H = 2 pi J S_z m, m = N/2 - k: a battery with gamma > 0 turns the slower the larger J m is.
    """
    m = 0.5 * satellites - np.arange(satellites + 1)
    return np.asarray(-gamma_sign * coupling_hz * m)


def fit_manifolds(
    series: Series,
    region_ppm: tuple[float, float],
    *,
    satellites: int,
    coupling_hz: float,
    gamma_sign: int,
    equilibrium: float,
) -> ManifoldFit:
    """Fit position, width, J and phase of a star multiplet, and each line's amplitude in each row.

    The reference row has binomial amplitudes; every other row has one for each manifold.  Errors
    of the four shared parameters are part of all others.

    Parameters
    ----------
    series : Series
        With a thermal reference row, recorded without decoupling.
    region_ppm : tuple (low, high)
        Holds the whole multiplet.
    satellites : int
        N.
    coupling_hz : float
        J to start from, sign included.
    gamma_sign : int
        Of the battery.
    equilibrium : float
        |p_eq| of the battery in units of eps.

    Raises
    ------
    ValueError
        Where there is no reference row, the region holds too few points, or the reference does not
        stand above the noise.
    """
    problem = _Multiplet(series, region_ppm, satellites, coupling_hz, gamma_sign)
    x = problem.solved()
    return problem.result(x, equilibrium)


class _Multiplet:
    """Variable projection of one multiplet: x = (nu, ln R, J, phase)."""

    def __init__(
        self,
        series: Series,
        region_ppm: tuple[float, float],
        satellites: int,
        coupling_hz: float,
        gamma_sign: int,
    ) -> None:
        if series.reference_row is None:
            raise ValueError("the series must hold a thermal reference row")
        self.series, self.region_ppm = series, region_ppm
        self.satellites, self.coupling_hz, self.gamma_sign = satellites, coupling_hz, gamma_sign
        self.scans = scan_weights(series)
        bins = spectrum_bins(series)
        bins = replace(bins, spectra=bins.spectra * self.scans[:, None])
        self.noise = noise_per_channel(bins)
        low, high = series.offset_hz(np.array(region_ppm))
        inside = (bins.frequency_hz >= low) & (bins.frequency_hz <= high)
        if inside.sum() < MIN_BINS * (satellites + 1) ** 0.5:
            raise ValueError(f"the region holds only {inside.sum()} points of the spectrum")
        self.bins = Bins(
            bins.frequency_hz[inside], bins.spectra[:, inside], bins.start_s, bins.dwell_s,
            bins.points,
        )  # fmt: skip
        self.reference = series.reference_row
        self.rows = np.flatnonzero(np.arange(series.rows) != self.reference)
        self.weights = binomial_weights(satellites)
        self.down = np.arange(satellites + 1)
        ramp = np.vander(np.linspace(-1.0, 1.0, int(inside.sum())), 2)
        self.baseline, _ = np.linalg.qr(ramp)
        self.data = self._real(self.bins.spectra)

    def _real(self, spectra: NDArray[np.complex128]) -> Array:
        """Return spectra without their straight lines, real and imaginary parts side by side."""
        rest = spectra - (spectra @ self.baseline) @ self.baseline.T
        return np.concatenate([rest.real, rest.imag], axis=-1)

    def _lines(self, x: Array) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        nu, log_rate, coupling, phase = x
        spread = manifold_offsets(self.satellites, coupling, self.gamma_sign)[self.down]
        rates = np.full(len(spread), np.exp(log_rate))
        line, derivative = lorentzian(self.bins, nu + spread, rates)
        turn = np.exp(1j * phase)
        return turn * line, turn * derivative

    def _fitted(self, x: Array) -> tuple[Array, float, Array]:
        """Return lines (real form), amplitude of the reference, amplitudes of the rows."""
        lines = self._real(self._lines(x)[0])
        shape = self.weights[self.down] @ lines
        a_ref = float(self.data[self.reference] @ shape / (shape @ shape))
        found, *_ = np.linalg.lstsq(lines.T, self.data[self.rows].T, rcond=None)
        return lines, a_ref, np.asarray(found.T)

    def residual(self, x: Array) -> Array:
        lines, a_ref, amplitudes = self._fitted(x)
        rest = self.data.copy()
        rest[self.reference] -= a_ref * (self.weights[self.down] @ lines)
        rest[self.rows] -= amplitudes @ lines
        return rest.ravel()

    def solved(self) -> Array:
        """Return the shared parameters of least squares, from several starts."""
        bin_hz = 1.0 / (self.bins.points * self.bins.dwell_s)
        power = np.abs(self.bins.spectra[self.reference]) ** 2
        middle = float(self.bins.frequency_hz @ power / power.sum())
        offsets = self.coupling_hz * np.linspace(-0.5, 0.5, 9)
        best = np.array([middle, np.log(np.pi * 2.0 * bin_hz), self.coupling_hz, 0.0])
        cost = np.inf
        for nu in middle + offsets:
            for width in (1.5, 4.0, 12.0):
                x = np.array([nu, np.log(np.pi * width * bin_hz), self.coupling_hz, 0.0])
                shape = self.weights @ self._lines(x)[0]
                x[3] = np.angle(np.vdot(shape, self.bins.spectra[self.reference]))
                left = self.data[self.reference]
                line = self.weights @ self._real(self._lines(x)[0])
                here = float(left @ left - (left @ line) ** 2 / (line @ line))
                if here < cost:
                    best, cost = x, here
        line = self.weights @ self._real(self._lines(best)[0])
        snr = float(self.data[self.reference] @ line / np.linalg.norm(line)) / self.noise
        if snr < 5.0:
            raise ValueError(
                f"the reference (row {self.reference}) must stand at least 5 standard errors above "
                f"the noise, but is {snr:.2g}"
            )
        self.down = np.flatnonzero(self.weights * snr >= _LEAST_SNR)
        found = least_squares(self.residual, best, x_scale=[bin_hz, 0.1, bin_hz, 0.1])
        x = np.asarray(found.x)
        if self._fitted(x)[1] < 0.0:  # the reference is positive: a thermal battery
            x[3] += np.pi
        return x

    def result(self, x: Array, equilibrium: float) -> ManifoldFit:
        lines, a_ref, amplitudes = self._fitted(x)
        weights = self.weights[self.down]
        # one column for every parameter: the shared four, the reference, each line of each row
        complex_lines, derivative = self._lines(x)
        rate = float(np.exp(x[1]))
        per_hz = -self.gamma_sign * (0.5 * self.satellites - self.down)[:, None]
        slopes = [
            self._real(2j * np.pi * derivative),
            self._real(-rate * derivative),
            self._real(2j * np.pi * per_hz * derivative),
            self._real(1j * complex_lines),
        ]
        rows, count, size = len(self.rows), len(self.down), lines.shape[1]
        jacobian = np.zeros(((rows + 1) * size, 5 + rows * count))
        for j, slope in enumerate(slopes):
            jacobian[:size, j] = a_ref * weights @ slope
            jacobian[size:, j] = (amplitudes @ slope).ravel()
        jacobian[:size, 4] = weights @ lines
        for r in range(rows):
            block = slice((r + 1) * size, (r + 2) * size)
            jacobian[block, 5 + r * count : 5 + (r + 1) * count] = lines.T
        covariance = self.noise**2 * np.linalg.inv(jacobian.T @ jacobian)
        scale = self.scans[self.rows]
        a_ref_scan = a_ref / self.scans[self.reference]
        p = equilibrium * amplitudes / scale[:, None] / (weights * a_ref_scan)
        # p = p_eq A/(w A_ref): by its own line, and by the reference common to all
        to_p = np.zeros((rows * count, jacobian.shape[1]))
        per_amplitude = equilibrium / (np.tile(weights, rows) * a_ref_scan)
        to_p[:, 5:] = np.diag(per_amplitude / np.repeat(scale, count))
        to_p[:, 4] = -p.ravel() / a_ref
        errors = to_p @ covariance @ to_p.T
        correlations, spread = self._correlations(p, errors)
        chi2 = float(np.sum(self.residual(x) ** 2)) / self.noise**2
        free = self.data.size - jacobian.shape[1] - 4 * len(self.data)
        total = np.kron(np.eye(rows), np.ones(count)) / scale[:, None]
        share = float(weights.sum())
        covered = np.zeros((rows + 1, rows + 1))
        order = [self.reference, *self.rows]
        covered[np.ix_(order[1:], order[1:])] = total @ covariance[5:, 5:] @ total.T
        covered[self.reference, self.reference] = (
            covariance[4, 4] * (share / self.scans[self.reference]) ** 2
        )
        sums = np.zeros(rows + 1)
        sums[self.rows] = amplitudes.sum(axis=1) / scale
        sums[self.reference] = a_ref_scan * share
        # shape and picture are those of the multiplet with binomial weights
        shape = fit_series(
            self.series, [self.region_ppm], multiplet=f"{self.satellites}:1/2"
        ).regions[0]
        line = replace(shape, amplitudes=sums, covariance=covered, reduced_chi2=chi2 / free)
        return ManifoldFit(
            line=line,
            satellites=self.satellites,
            coupling_hz=float(x[2]),
            coupling_stderr=float(np.sqrt(covariance[2, 2])),
            chargers_down=self.down,
            polarisation=p,
            stderr=np.sqrt(np.diag(errors)).reshape(rows, count),
            correlations=correlations,
            correlations_stderr=spread,
        )

    def _correlations(self, p: Array, covariance: Array) -> tuple[Array | None, Array | None]:
        weights = self.weights[self.down]
        if weights.sum() < _LEAST_SHARE:
            return None, None
        n = self.satellites
        orders = range(min(_ORDERS, n) + 1)
        moment = np.array(
            [
                [w * krawtchouk(q, int(k), n) / comb(n, q) for q in orders]
                for w, k in zip(weights, self.down, strict=True)
            ]
        )
        rows = len(p)
        whole = np.kron(np.eye(rows), moment.T)
        spread = np.sqrt(np.diag(whole @ covariance @ whole.T)).reshape(rows, len(orders))
        return p @ moment, spread
