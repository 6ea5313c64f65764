"""Is an oscillation there at all?  A frequency that was searched for fits noise somewhere."""

from __future__ import annotations

import numpy as np
from scipy import stats

from nmrqb.analysis.curve_fit import CurveFit

#: chance of noise doing as well, anywhere in the search, above which a frequency is not believed
ESTABLISHED = 1e-3


def chance_of_noise(chi2_without: float, fit: CurveFit, extra: int, trials: float) -> float:
    """Return the chance that noise fits as well at one of the frequencies that were tried.

    Parameters
    ----------
    chi2_without : float
        Of the best curve without the oscillation.
    fit : CurveFit
        With it.
    extra : int
        Parameters that the oscillation adds beside its frequency.
    trials : float
        Independent frequencies in the search: its band times the window, in half turns.

    References
    ----------
    J. D. Scargle, Astrophys. J. 263, 835 (1982).
    """
    gain = max(chi2_without - fit.chi2, 0.0)
    if fit.error_scale == 1.0:
        single = float(stats.chi2.sf(gain, extra))
    else:
        single = float(stats.f.sf(gain / extra / fit.error_scale**2, extra, fit.dof))
    return float(-np.expm1(max(trials, 1.0) * np.log1p(-min(single, 1.0 - 1e-16))))
