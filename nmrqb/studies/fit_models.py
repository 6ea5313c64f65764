"""The models of ``nmrqb fit``: one table.

All but ``charging`` and ``lines`` need an axis in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.buildup import fit_build_up
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.curves import fit_decay, fit_recovery, fit_saturation
from nmrqb.analysis.nutation import fit_nutation

Array = NDArray[np.float64]
Model = Literal["recovery", "saturation", "buildup", "decay", "nutation", "charging", "lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitModel:
    """How one model is fitted and shown.

    Attributes
    ----------
    fit : callable or None
        (axis values, signed amplitudes, covariance) to a CurveFit; None where the amplitudes are
        calibrated on a thermal reference first, and where only the lines are asked for.
    main : str
        The parameter that the model is about: a region is identifiable where it has a value.
    also : tuple of str
        Parameters shown beside it on the terminal.
    positive : str or None
        A parameter that is positive by convention where no row fixes the sign.
    measures : {"t1", "t2"} or None
        The number of a register that `main` is.
    """

    fit: Callable[[Array, Array, Array], CurveFit] | None
    main: str
    also: tuple[str, ...] = ()
    positive: str | None = None
    measures: Literal["t1", "t2"] | None = None


MODELS: dict[Model, FitModel] = {
    "recovery": FitModel(fit=fit_recovery, main="T1", also=("inversion",), measures="t1"),
    "saturation": FitModel(fit=fit_saturation, main="T1", also=("inversion",), measures="t1"),
    "buildup": FitModel(fit=fit_build_up, main="T", also=("beta",), measures="t1"),
    "decay": FitModel(fit=fit_decay, main="T2", positive="M0", measures="t2"),
    "nutation": FitModel(fit=fit_nutation, main="frequency", also=("decay",), positive="M0"),
    "charging": FitModel(fit=None, main="tau"),
    "lines": FitModel(fit=None, main="shift", also=("J", "width", "gaussian_width")),
}
