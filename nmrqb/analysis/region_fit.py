"""The fit of one region: which lines, their shape, and the signed amplitudes of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nmrqb.analysis.curve_fit import FittedParameter
from nmrqb.analysis.drift import Drift, RowFits, find_drift
from nmrqb.analysis.line_finding import Found
from nmrqb.analysis.line_parameters import at_bound, numbered, unit_of
from nmrqb.analysis.projection import Array, Minimum, Projection, Spectra, chain_rule, inner
from nmrqb.analysis.regions import scan_weights
from nmrqb.analysis.residuals import whiteness
from nmrqb.analysis.shapes import LineShape
from nmrqb.signals.series import Series

if TYPE_CHECKING:
    import lmfit

#: matched-filter signal-to-noise ratio below which a line may be noise: in 10,000 places of a
#: spectrum noise exceeds it with a probability of 1e-4
_VISIBLE = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRow:
    """The strongest row of a region and its fit, for pictures.

    Attributes
    ----------
    row : int
    ppm : ndarray, shape (bins,)
    spectrum, fit : ndarray of complex, shape (bins,)
        Without baselines, turned so that the strongest line is in absorption.
    """

    row: int
    ppm: Array
    spectrum: Spectra
    fit: Spectra


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFit:
    """The shared line shape of one region and the signed amplitudes of its rows.

    Attributes
    ----------
    region_ppm : tuple of (low, high)
    shapes : tuple of LineShape
        One for each line or multiplet.
    numbers : dict of str to FittedParameter
        The shape: `shift` (ppm), `width`, `gaussian_width`, `J` (Hz), `phase` (degrees at time 0)
        of the first line, `shift2`, ... and `intensity2` (relative to the first) of others.
    parameters : lmfit.Parameters
        The same, with bounds, fixed values and expressions, to start another fit from.
    shift_ppm, width_hz : ndarray, shape (lines,)
        Positions and full widths at half height of the lines (of one line of a multiplet).
    intensity : ndarray of complex, shape (lines,)
        Relative intensities with their phases; the first is a pure phase.
    amplitudes : ndarray, shape (rows,)
        Signed, for each scan, in units of the shape's norm (matched-filter amplitudes): divided
        by `noise` they are signal-to-noise ratios.
    covariance : ndarray, shape (rows, rows)
        noise^2 times the unit matrix: errors of the shared shape change these amplitudes only in
        second order.
    noise : float
        Sigma of one channel of one point.
    reduced_chi2 : float
        Of the region; above 1 where the shape does not describe the line within the noise.
    whiteness_p_value : float or None
        Probability of residuals at least as correlated from bin to bin, were the shape right;
        None where the region holds too few bins to tell.
    drift : tuple of Drift
        Of shift and phase along the rows, against the shape common to all.
    rows : RowFits or None
        Shift, phase and broadening of each row, where a drift was modelled.
    picture : FittedRow
    alternatives : dict of str to float
        Where the multiplet was chosen: the Bayesian information criterion of every other above
        that of the chosen one.
    warnings : tuple of str
    """

    region_ppm: tuple[float, float]
    shapes: tuple[LineShape, ...]
    numbers: dict[str, FittedParameter]
    parameters: lmfit.Parameters
    shift_ppm: NDArray[np.float64]
    width_hz: NDArray[np.float64]
    intensity: NDArray[np.complex128]
    amplitudes: NDArray[np.float64]
    covariance: NDArray[np.float64]
    noise: float
    reduced_chi2: float
    whiteness_p_value: float | None
    picture: FittedRow
    drift: tuple[Drift, ...] = ()
    rows: RowFits | None = None
    alternatives: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def stderr(self) -> NDArray[np.float64]:
        """Standard errors of the amplitudes."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def is_visible(self) -> bool:
        """True where the strongest row stands at least six standard errors above zero."""
        return bool(np.abs(self.amplitudes / self.stderr).max() >= _VISIBLE)

    @property
    def strongest(self) -> int:
        """Number of the strongest line, counted from 0."""
        return int(np.argmax(np.abs(self.intensity)))

    def __str__(self) -> str:
        low, high = self.region_ppm
        k = self.strongest
        kinds = dict.fromkeys(str(s) for s in self.shapes)
        head = (
            f"{low:.4g} to {high:.4g} ppm: {len(self.shapes)} x {', '.join(kinds)}, strongest at "
            f"{self.shift_ppm[k]:.5g} ppm, width {self.width_hz[k]:.3g} Hz, reduced chi-square "
            f"{self.reduced_chi2:.3g}"
        )
        couplings = [f"    {n} = {p}" for n, p in self.numbers.items() if n.startswith("J")]
        return "\n".join([head, *couplings, *(f"    warning: {w}" for w in self.warnings)])


def tell(
    found: Found,
    series: Series,
    region_ppm: tuple[float, float],
    noise: float,
    spectra: Spectra,
) -> RegionFit:
    """Return the fit: the shape is that of the phased rows, amplitudes are of all `spectra`."""
    problem = found.problem
    minimum = replace(found.minimum, parameters=found.minimum.parameters.copy())
    parameters = minimum.parameters
    values = dict(parameters.valuesdict())
    shape, slopes = problem.shape(values)
    norm = float(np.linalg.norm(shape))
    # in units of the shape's norm: an error of the shared shape is then orthogonal to the
    # shape and changes no amplitude to first order, so that the rows are uncorrelated
    weights = scan_weights(series)
    amplitude = inner(problem.without_baseline(spectra), shape[None])[:, 0] / norm / weights
    row = series.reference_row
    if row is None:
        phased = np.setdiff1d(np.arange(series.rows), series.unphased_rows)
        row = int(phased[np.argmax(series.axis.values[phased])])
    phases = [parameters[numbered("phase", k)] for k in range(len(problem.shapes))]
    own = [p for p in phases if p.vary and not p.expr]
    if not np.isfinite([[p.min, p.max] for p in own]).any() and all(
        p.vary or p.expr for p in phases
    ):
        # the phase is known up to pi: the reference row is positive
        turn = 180.0 if amplitude[row] < 0.0 else 0.0
        amplitude = -amplitude if turn else amplitude
        for p in own:  # one full turn is as good as another
            p.value = 180.0 - (180.0 - p.value - turn) % 360.0
    values = dict(parameters.valuesdict())
    dof = problem.degrees_of_freedom(sum(p.vary for p in parameters.values()))
    numbers, warnings = _numbers(problem, minimum, noise, dof)
    rest, a = problem.residual(values)
    directions = np.array([shape, *slopes])
    basis, size, _ = np.linalg.svd(directions.view(np.float64).T, full_matrices=False)
    kept = np.ascontiguousarray(basis[:, size > 1e-9 * size[0]].T).view(np.complex128)
    white = whiteness((a @ rest) / np.linalg.norm(a), kept, problem.nuisance)
    drift = find_drift(problem, values, noise)
    fit = RegionFit(
        region_ppm=region_ppm,
        shapes=problem.shapes,
        numbers=numbers,
        parameters=parameters,
        shift_ppm=_of_lines(values, "shift", len(problem.shapes)),
        width_hz=np.array([_width(s, values, k) for k, s in enumerate(problem.shapes)]),
        intensity=np.asarray(
            np.exp(1j * np.radians(_of_lines(values, "phase", len(problem.shapes))))
            * _of_lines({"intensity": 1.0} | values, "intensity", len(problem.shapes))
        ),
        amplitudes=amplitude,
        covariance=np.diag((noise / weights) ** 2),
        noise=noise,
        reduced_chi2=minimum.squares / noise**2 / dof,
        whiteness_p_value=white,
        picture=fitted_row(problem, spectra, values),
        drift=drift,
        alternatives=found.alternatives,
    )
    if not fit.is_visible:
        warnings.append(
            "no line stands out of the noise: the largest amplitude is "
            f"{np.abs(amplitude / fit.stderr).max():.2g} standard errors"
        )
    return replace(fit, warnings=tuple(warnings))


def fitted_row(
    problem: Projection, spectra: Spectra, values: Mapping[str, float], row: int | None = None
) -> FittedRow:
    """Return one of the rows `spectra`, the strongest by itself, beside its fit."""
    shape, _ = problem.shape(values)
    data = problem.without_baseline(spectra)
    amplitude = inner(data, shape[None])[:, 0] / np.vdot(shape, shape).real
    row = int(np.argmax(np.abs(amplitude))) if row is None else row
    phases = _of_lines(values, "phase", len(problem.shapes))
    strengths = np.abs(_of_lines({"intensity": 1.0} | dict(values), "intensity", len(phases)))
    # all lines have turned since time 0 when the first point used was taken
    late = 2.0 * np.pi * problem.bins.frequency_hz * problem.bins.start_s
    turn = np.exp(-1j * (np.radians(phases[int(np.argmax(strengths))]) + late))
    return FittedRow(
        row=row,
        ppm=problem.series.ppm(problem.bins.frequency_hz),
        spectrum=turn * data[row],
        fit=turn * amplitude[row] * shape,
    )


def _of_lines(values: Mapping[str, float], name: str, lines: int) -> Array:
    return np.array([values[numbered(name, k)] for k in range(lines)])


def _width(shape: LineShape, values: Mapping[str, float], line: int) -> float:
    return shape.full_width_hz({n: values[numbered(n, line)] for n in shape.widths})


def _numbers(
    problem: Projection, minimum: Minimum, noise: float, dof: int
) -> tuple[dict[str, FittedParameter], list[str]]:
    """Return the fitted shape with standard errors, also set in its parameters, and warnings."""
    parameters, chi2 = minimum.parameters, minimum.squares / noise**2
    scale, warnings = 1.0, []
    if chi2 > dof and stats.chi2.sf(chi2, dof) < 1e-3:
        scale = float(np.sqrt(chi2 / dof))
        warnings.append(
            f"the common line shape leaves residuals {scale:.3g} times the noise: standard errors "
            "of its parameters are scaled by this factor"
        )
    hessian = problem.normal_equations(parameters.valuesdict()).hessian / (noise * scale) ** 2
    free = [n for n, p in parameters.items() if p.vary and not p.expr]
    shape, slopes = problem.shape(parameters.valuesdict())
    a = problem.amplitudes(shape)
    # what only changes the height is taken up by the amplitudes, but for rounding
    whole = (a @ a) * np.sum(np.abs(slopes) ** 2, axis=1) / (noise * scale) ** 2
    felt = np.diag(hessian) > 1e-12 * whole
    reasons = {
        n: "not identifiable: the spectra do not depend on it"
        for n, f in zip(problem.names, felt, strict=True)
        if n in free and not f
    }
    errors = _errors(problem, parameters, hessian, [n for n in free if n not in reasons])
    ends = {n: why for n in free if (why := at_bound(parameters[n], errors[n]))}
    if ends:  # what ends at a bound is known there: the others are known with it
        reasons |= ends
        errors = _errors(problem, parameters, hessian, [n for n in free if n not in reasons])
    if not minimum.converged:
        reasons |= dict.fromkeys(free, "the fit of the line shape did not converge")
    power = float((a @ a) * np.vdot(shape, shape).real) / (noise * scale) ** 2
    # an error of a shape goes as R^(3/2)/A, whose own relative variance is 5/power of a Lorentzian
    # line (Cramer-Rao): Student's t whose degrees of freedom have that variance, 1/(2 n)
    quantile = float(stats.t.ppf(0.975, max(power / 10.0, 1.0)))
    numbers: dict[str, FittedParameter] = {}
    for name in problem.names:
        p, unit, why = parameters[name], unit_of(name), reasons.get(name)
        value, error = float(p.value), errors[name]
        if why is None and not error > 0.0:
            why = "not identifiable: it cannot be told apart from what else the lines have"
        if not (p.vary or p.expr):
            numbers[name] = FittedParameter(
                value=value, stderr=None, ci95=(None, None), unit=unit, reason="held fixed"
            )
        elif why is not None:
            numbers[name] = FittedParameter(
                value=None, stderr=None, ci95=(None, None), unit=unit, reason=why
            )
        else:
            p.stderr = error
            interval = (value - quantile * error, value + quantile * error)
            if "width" in name and error < value:  # of a positive number that errs by a factor
                factor = float(np.exp(quantile * error / value))
                interval = (value / factor, value * factor)
            numbers[name] = FittedParameter(value=value, stderr=error, ci95=interval, unit=unit)
    return numbers, warnings


def _errors(
    problem: Projection, parameters: lmfit.Parameters, hessian: Array, free: Sequence[str]
) -> dict[str, float]:
    """Return standard errors of all parameters: 0 where none is free, NaN where they are singular.

    Parameters
    ----------
    hessian : ndarray, shape (names, names)
        J^T J in units of the noise.
    free : sequence of str
        Parameters that vary on their own; the spectra depend on each of them.
    """
    chain = chain_rule(parameters, free, problem.names)
    curvature = chain.T @ hessian @ chain
    size = np.sqrt(np.diag(curvature))
    unit = curvature / np.outer(size, size)
    if len(free) and not np.linalg.eigvalsh(unit)[0] > 1e-12:
        return dict.fromkeys(problem.names, float("nan"))
    covariance = chain @ (np.linalg.inv(unit) / np.outer(size, size)) @ chain.T
    return dict(zip(problem.names, np.sqrt(np.diag(covariance)).tolist(), strict=True))
