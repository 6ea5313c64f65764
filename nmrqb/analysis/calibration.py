"""From signed amplitudes to polarisation: the thermal reference sets the scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.budget import ErrorBudget, ErrorSource
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.spins.register import SpinRegister
from nmrqb.units import FILE_CONFIG, Unit, file_key

Array = NDArray[np.float64]
Decoupling = Literal["inverse-gated", "continuous"]

#: a correction factor below this share, or below this many of its own errors, is near a null
_LEAST_FACTOR = 0.2
_LEAST_SIGNIFICANCE = 5.0
_QUARTER_TURN = math.pi / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceConditions:
    """How the reference was recorded, where that differs from the rows.

    Scans need no word: amplitudes are per scan.

    Attributes
    ----------
    flip_angle_rad, row_flip_angle_rad : float
        Read-out pulses of the reference and of the rows.
    pulse_error : float
        Relative standard error of the calibrated pulse that both angles are multiples of.
    gain_ratio, gain_ratio_stderr : float
        Measured amplification of the reference over that of the rows.
    repetition_s : float or None
        Time between the read-out pulses of two scans of the reference; None: fully relaxed.
    decoupling : {"inverse-gated", "continuous"}
        "continuous": the chargers were saturated all the time, and the Overhauser effect changed
        the reference.
    """

    __pydantic_config__ = FILE_CONFIG

    flip_angle_rad: Annotated[float, Unit("angle")] = _QUARTER_TURN
    row_flip_angle_rad: Annotated[float, Unit("angle")] = _QUARTER_TURN
    pulse_error: Annotated[float, Unit("share")] = 0.0
    gain_ratio: float = 1.0
    gain_ratio_stderr: float = 0.0
    repetition_s: Annotated[float, Unit("time", above=0.0, at_most=1e7)] | None = None
    decoupling: Decoupling = "inverse-gated"

    def __post_init__(self) -> None:
        for name in ("flip_angle_rad", "row_flip_angle_rad"):
            angle = getattr(self, name)
            if not 0.0 < angle < math.pi:
                raise ValueError(
                    f"`{file_key(name)}` must be above 0 and below 180 degrees, but is "
                    f"{math.degrees(angle):g} degrees"
                )
        if not 0.0 <= self.pulse_error < 0.5:
            raise ValueError(f"`pulse_error` must be 0 to 0.5, but is {self.pulse_error}")
        if not (math.isfinite(self.gain_ratio) and self.gain_ratio > 0.0):
            raise ValueError(f"`gain_ratio` must be positive, but is {self.gain_ratio}")
        if not 0.0 <= self.gain_ratio_stderr < 0.5 * self.gain_ratio:
            raise ValueError(
                f"`gain_ratio_stderr` must be at least 0 and below half of the ratio, but is "
                f"{self.gain_ratio_stderr}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFactor:
    """Signal of the reference as it was recorded over that of an ideal one.

    Attributes
    ----------
    value : float
    errors : dict of str to float
        Source -> relative standard error.
    reasons : dict of str to str
        Source -> why it has no error, or none that is known.
    """

    value: float
    errors: dict[str, float]
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedRows:
    """Polarisations of the rows of a series.

    Attributes
    ----------
    r_z : ndarray, shape (rows - 1,)
        Units of eps, energy label.
    budget : ErrorBudget
        Of `r_z`, source by source.
    """

    r_z: Array
    budget: ErrorBudget = field(repr=False)

    @property
    def own_covariance(self) -> Array:
        """From what is each row's own: noise and line shape."""
        return self.budget.own_covariance

    @property
    def scale_error(self) -> float:
        """Relative standard error of what is common to all rows: the reference."""
        return self.budget.scale_error

    @property
    def covariance(self) -> Array:
        """Covariance of r_z, the common factor included."""
        return self.budget.covariance


def polarisation_from_reference(
    fit: RegionFit,
    reference_row: int,
    equilibrium: float,
    factor: ReferenceFactor | None = None,
) -> CalibratedRows:
    """Return r_z = p_eq S/S_ref of the rows that are not the reference.

    Parameters
    ----------
    fit : RegionFit
        Amplitudes of rows and reference, for each scan.
    reference_row : int
    equilibrium : float
        |p_eq| of the battery in units of eps: r_z is in those units and positive in the ground
        state for either sign of gamma.
    factor : ReferenceFactor, optional
        Where the reference was not recorded like the rows, fully relaxed and inverse-gated.

    Raises
    ------
    ValueError
        Where the reference is not at least five standard errors above zero.
    """
    a = fit.amplitudes
    rows = np.array([k for k in range(len(a)) if k != reference_row])
    s_ref, e_ref = float(a[reference_row]), float(fit.stderr[reference_row])
    if abs(s_ref) < 5.0 * e_ref:
        raise ValueError(
            f"the reference (row {reference_row}) must stand at least 5 standard errors "
            f"above the noise, but is {s_ref / e_ref:.2g}: no polarisation can be given"
        )
    factor = factor or reference_factor(ReferenceConditions(), None)
    scale = equilibrium * factor.value / s_ref
    r_z = scale * a[rows]
    noise = scale**2 * fit.covariance[np.ix_(rows, rows)]
    # what the residuals exceed the noise by: with an imperfect shape amplitudes are no better
    excess = max(0.0, fit.reduced_chi2 - 1.0)
    sources = [
        ErrorSource(name="noise", own=noise),
        ErrorSource(name="line shape", own=excess * noise),
        ErrorSource(name="reference", relative=e_ref / abs(s_ref)),
    ]
    sources += [
        ErrorSource(
            name=name, relative=factor.errors.get(name, 0.0), reason=factor.reasons.get(name)
        )
        for name in ("pulse", "T1", "Overhauser effect", "receiver gain")
    ]
    return CalibratedRows(r_z=r_z, budget=ErrorBudget(values=r_z, sources=tuple(sources)))


def reference_factor(
    conditions: ReferenceConditions, register: SpinRegister | None
) -> ReferenceFactor:
    """Return what the recording of the reference makes of its signal.

    Product of the gain ratio, sin(flip angle of the reference)/sin(that of the rows), the steady
    state (1 - e)/(1 - e cos(flip angle)), e = exp(-repetition/T1), and with continuous decoupling
    1 + f gamma_C/(2 gamma_B) (see CONVENTIONS: `dipolar_share`).  Its errors are those of the
    pulse, T1, f and the gain ratio, to first order.

    Parameters
    ----------
    conditions : ReferenceConditions
    register : SpinRegister or None
        Whose battery is the reference; needed for an incomplete relaxation and for the
        Overhauser effect.

    Raises
    ------
    ValueError
        Where the Overhauser effect is not known, or leaves next to nothing of the reference.
    """
    here = conditions
    errors: dict[str, float] = {}
    reasons: dict[str, str] = {}
    same = abs(here.flip_angle_rad - here.row_flip_angle_rad) < 1e-9

    def turned(stretch: float) -> float:
        return math.sin(here.flip_angle_rad * stretch) / math.sin(here.row_flip_angle_rad * stretch)

    def relaxed(t1_s: float, stretch: float) -> float:
        if here.repetition_s is None:
            return 1.0
        e = math.exp(-here.repetition_s / t1_s)
        return (1.0 - e) / (1.0 - e * math.cos(here.flip_angle_rad * stretch))

    t1 = None if register is None else register.battery.t1_s
    if here.repetition_s is not None and t1 is None:
        raise ValueError("a reference that is not fully relaxed needs the T1 of a register")
    t1_s = 1.0 if t1 is None else t1.value
    value = here.gain_ratio * turned(1.0) * relaxed(t1_s, 1.0)
    if here.pulse_error == 0.0:
        reasons["pulse"] = (
            "the same read-out pulse for reference and rows: it cancels"
            if same
            else "the error of the pulse was not stated"
        )
    else:
        errors["pulse"] = here.pulse_error * abs(
            _log_slope(lambda s: turned(s) * relaxed(t1_s, s), 1.0)
        )
    if here.repetition_s is None:
        reasons["T1"] = "the reference is fully relaxed"
    elif t1 is not None and t1.stderr:
        errors["T1"] = t1.stderr * abs(_log_slope(lambda t: relaxed(t, 1.0), t1.value))
    else:
        reasons["T1"] = "the register holds no standard error of the battery's T1"
    if here.gain_ratio_stderr:
        errors["receiver gain"] = here.gain_ratio_stderr / here.gain_ratio
    else:
        reasons["receiver gain"] = (
            "the same receiver gain for reference and rows"
            if here.gain_ratio == 1.0
            else "the error of the gain ratio was not stated"
        )
    if here.decoupling == "continuous":
        enhanced, error = _overhauser(register)
        value *= enhanced
        errors["Overhauser effect"] = error
    else:
        reasons["Overhauser effect"] = "the reference is inverse-gated"
    return ReferenceFactor(value=value, errors=errors, reasons=reasons)


def _overhauser(register: SpinRegister | None) -> tuple[float, float]:
    """Return 1 + f gamma_C/(2 gamma_B) and its relative standard error."""
    share = None if register is None else register.dipolar_share
    if register is None or share is None:
        raise ValueError(
            "the reference was decoupled throughout and its Overhauser effect is not known: the "
            "register must hold `dipolar_share`, or the reference must be inverse-gated"
        )
    if share.stderr is None:
        raise ValueError(
            "the reference was decoupled throughout, and the register's `dipolar_share` has no "
            "`stderr`: without it the scale has no error, so that nothing is calibrated on it"
        )
    ratio = register.charger.nucleus.relative_gamma / register.battery.nucleus.relative_gamma
    factor = 1.0 + 0.5 * share.value * ratio
    spread = 0.5 * share.stderr * abs(ratio)
    if abs(factor) < max(_LEAST_FACTOR, _LEAST_SIGNIFICANCE * spread):
        raise ValueError(
            f"the Overhauser effect leaves {factor:.2g} +- {spread:.2g} of the reference: so near "
            f"the null at a dipolar share of {-2.0 / ratio:.3g} it sets no scale"
        )
    return factor, spread / abs(factor)


def _log_slope(function: Callable[[float], float], at: float) -> float:
    """Return d ln f/dx by a central difference."""
    step = 1e-5 * at
    return math.log(function(at + step) / function(at - step)) / (2.0 * step)
