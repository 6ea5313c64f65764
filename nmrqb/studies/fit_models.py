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
from nmrqb.analysis.biexponential import (
    fit_decay_of_two,
    fit_recovery_of_two,
    fit_two_exponentials,
)
from nmrqb.analysis.buildup import fit_build_up
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.curves import (
    fit_charging,
    fit_decay,
    fit_decay_to_offset,
    fit_recovery,
    fit_saturation,
    judged_saturation,
)
from nmrqb.analysis.damped_cosine import fit_damped_cosine
from nmrqb.analysis.intervals import LINEAR, Intervals
from nmrqb.analysis.model_choice import ModelComparison, compare_models
from nmrqb.analysis.nutation import (
    fit_gaussian_nutation,
    fit_nutation,
    fit_undamped_nutation,
)
from nmrqb.analysis.stretched import (
    fit_gaussian_decay,
    fit_stretched_decay,
    fit_stretched_recovery,
)
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
    contains_simplest : bool
        True where the first of the model's `CURVES` is a special case of this one.
    """

    fit: CurveFitter | None = None
    energy_fit: Callable[..., CurveFit] | None = None
    engine: Engine | None = None
    main: str
    also: tuple[str, ...] = ()
    knows_cycles: bool = False
    positive: str | None = None
    measures: Literal["t1", "t2"] | None = None
    contains_simplest: bool = False


MODELS: dict[Model, FitModel] = {
    "recovery": FitModel(fit=fit_recovery, main="T1", also=("inversion",), measures="t1"),
    "saturation": FitModel(fit=fit_saturation, main="T1", also=("inversion",), measures="t1"),
    "buildup": FitModel(fit=fit_build_up, main="T", also=("beta",), measures="t1"),
    "decay": FitModel(fit=fit_decay, main="T2", positive="M0", measures="t2"),
    "nutation": FitModel(fit=fit_nutation, main="frequency", also=("decay",), positive="M0"),
    "charging": FitModel(energy_fit=fit_approach, main="tau", also=("factor",), knows_cycles=True),
    "lines": FitModel(main="shift", also=("J", "width", "gaussian_width")),
}

_STRETCHED_T1 = FitModel(
    fit=fit_stretched_recovery, main="T1", also=("beta", "inversion"), contains_simplest=True
)
_TWO_T1 = FitModel(
    fit=fit_recovery_of_two,
    main="T1_slow",
    also=("T1_fast", "fast_share", "inversion"),
    contains_simplest=True,
)


def _of_saturation(kind: FitModel) -> FitModel:
    """Return how a recovery is fitted that should have begun saturated."""
    fit = kind.fit
    assert fit is not None

    def judged(x: Array, y: Array, covariance: Array, /, *, intervals: Intervals) -> CurveFit:
        return judged_saturation(fit(x, y, covariance, intervals=intervals))

    return replace(kind, fit=judged)


#: model -> curve -> how, the simplest first
CURVES: dict[Model, dict[str, FitModel]] = {
    "recovery": {
        "mono": MODELS["recovery"],
        "stretched": _STRETCHED_T1,
        "bi-exponential": _TWO_T1,
    },
    "saturation": {
        "mono": MODELS["saturation"],
        "stretched": _of_saturation(_STRETCHED_T1),
        "bi-exponential": _of_saturation(_TWO_T1),
    },
    "buildup": {
        "mono": replace(MODELS["buildup"], fit=partial(fit_build_up, curve="mono")),
        "stretched": replace(
            MODELS["buildup"],
            fit=partial(fit_build_up, curve="stretched"),
            contains_simplest=True,
        ),
        "bi-exponential": FitModel(
            fit=fit_two_exponentials,
            main="T_slow",
            also=("T_fast", "fast_share"),
            contains_simplest=True,
        ),
    },
    "decay": {
        "mono": MODELS["decay"],
        "gaussian": FitModel(fit=fit_gaussian_decay, main="T2", positive="M0"),
        "stretched": FitModel(
            fit=fit_stretched_decay,
            main="T2",
            also=("beta",),
            positive="M0",
            contains_simplest=True,
        ),
        "bi-exponential": FitModel(
            fit=fit_decay_of_two,
            main="T2_slow",
            also=("T2_fast", "fast_share"),
            positive="M0",
            contains_simplest=True,
        ),
        "offset": replace(
            MODELS["decay"], fit=fit_decay_to_offset, also=("offset",), contains_simplest=True
        ),
    },
    "nutation": {
        "undamped": FitModel(fit=fit_undamped_nutation, main="frequency", positive="M0"),
        "damped": replace(MODELS["nutation"], contains_simplest=True),
        "gaussian": FitModel(
            fit=fit_gaussian_nutation,
            main="frequency",
            also=("b1_spread",),
            positive="M0",
            contains_simplest=True,
        ),
    },
    "charging": {
        "exponential": FitModel(energy_fit=fit_charging, main="tau"),
        "damped-cosine": FitModel(
            energy_fit=fit_damped_cosine,
            main="tau",
            also=("omega", "phi"),
            contains_simplest=True,
        ),
        # the protocol itself, by the closed map or by exact simulation
        "map": FitModel(main="b", engine="map"),
        "simulated": FitModel(main="J", engine="simulated"),
    },
}


def compare_curves(model: Model, x: Array, y: Array, covariance: Array) -> ModelComparison | None:
    """Fit a model's curves that need no protocol to points y and compare them.

    Returns
    -------
    ModelComparison or None
        None where there are not enough points for more than one.
    """
    curves = CURVES.get(model, {})
    fits = {}
    for name, kind in curves.items():
        fit = kind.fit or kind.energy_fit
        if fit is None:
            continue
        try:
            fits[name] = fit(x, y, covariance, intervals=LINEAR)
        except ValueError:
            continue
    wider = [name for name in fits if curves[name].contains_simplest]
    return compare_models(fits, wider, x, y) if len(fits) > 1 else None


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
