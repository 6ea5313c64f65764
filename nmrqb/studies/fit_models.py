"""The models of ``nmrqb fit`` and their curves: one table.

All but ``charging`` and ``lines`` need an axis in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.alternating import fit_approach
from nmrqb.analysis.biexponential import fit_two_exponentials
from nmrqb.analysis.buildup import fit_build_up
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.curves import fit_charging, fit_decay, fit_recovery, fit_saturation
from nmrqb.analysis.damped_cosine import fit_damped_cosine
from nmrqb.analysis.intervals import Intervals
from nmrqb.analysis.nutation import fit_nutation
from nmrqb.errors import InputError
from nmrqb.studies.long_time import Engine

Array = NDArray[np.float64]
Model = Literal["recovery", "saturation", "buildup", "decay", "nutation", "charging", "lines"]


class CurveFitter(Protocol):
    """Fits one curve to axis values and signed amplitudes with their covariance."""

    def __call__(
        self, x: Array, y: Array, covariance: Array, /, *, intervals: Intervals
    ) -> CurveFit:
        """Return the fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitModel:
    """How one model is fitted and shown.

    Attributes
    ----------
    fit : callable or None
        (axis values, signed amplitudes, covariance) to a CurveFit; None where the amplitudes are
        calibrated on a thermal reference first, and where only the lines are asked for.
    energy_fit : callable or None
        (times, energies, covariance, relative error of the reference) to a CurveFit, of
        ``charging``; None where a protocol is the curve.
    engine : {"map", "simulated"} or None
        What computes the protocol where that is the curve.
    main : str
        The parameter that the model is about: a region is identifiable where it has a value.
    also : tuple of str
        Parameters shown beside it on the terminal.
    knows_cycles : bool
        True where `energy_fit` also takes the number of cycles of each point.
    positive : str or None
        A parameter that is positive by convention where no row fixes the sign.
    measures : {"t1", "t2"} or None
        The number of a register that `main` is.
    """

    fit: CurveFitter | None = None
    energy_fit: Callable[..., CurveFit] | None = None
    engine: Engine | None = None
    main: str
    also: tuple[str, ...] = ()
    knows_cycles: bool = False
    positive: str | None = None
    measures: Literal["t1", "t2"] | None = None


MODELS: dict[Model, FitModel] = {
    "recovery": FitModel(fit=fit_recovery, main="T1", also=("inversion",), measures="t1"),
    "saturation": FitModel(fit=fit_saturation, main="T1", also=("inversion",), measures="t1"),
    "buildup": FitModel(fit=fit_build_up, main="T", also=("beta",), measures="t1"),
    "decay": FitModel(fit=fit_decay, main="T2", positive="M0", measures="t2"),
    "nutation": FitModel(fit=fit_nutation, main="frequency", also=("decay",), positive="M0"),
    "charging": FitModel(energy_fit=fit_approach, main="tau", also=("factor",), knows_cycles=True),
    "lines": FitModel(main="shift", also=("J", "width", "gaussian_width")),
}

#: model -> curve -> how, the simplest first; those that contain the simplest are `NESTED`
CURVES: dict[Model, dict[str, FitModel]] = {
    "buildup": {
        "mono": replace(MODELS["buildup"], fit=partial(fit_build_up, curve="mono")),
        "stretched": replace(MODELS["buildup"], fit=partial(fit_build_up, curve="stretched")),
        "bi-exponential": FitModel(
            fit=fit_two_exponentials, main="T_slow", also=("T_fast", "fast_share")
        ),
    },
    "charging": {
        "exponential": FitModel(energy_fit=fit_charging, main="tau"),
        "damped-cosine": FitModel(energy_fit=fit_damped_cosine, main="tau", also=("omega", "phi")),
        # the protocol itself, by the closed map or by exact simulation
        "map": FitModel(main="b", engine="map"),
        "simulated": FitModel(main="J", engine="simulated"),
    },
}
NESTED = ("stretched", "bi-exponential", "damped-cosine")


def fit_model(model: Model, curve: str | None) -> FitModel:
    """Return how a model is fitted, with the curve that was asked for.

    Raises
    ------
    InputError
        Where the model has no such curve.
    """
    if curve is None:
        return MODELS[model]
    known = CURVES.get(model, {})
    if curve not in known:
        allowed = ", ".join(known) or "none but its own"
        raise InputError(
            f"--model {model} has no curve {curve!r} (its curves: {allowed})",
            key="--curve",
            value=curve,
            limit=allowed,
        )
    return known[curve]
