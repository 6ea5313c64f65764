"""Line shapes in the bins of a spectrum, exact for a finite record, with analytic derivatives.

The FID of a line at offset nu is

    exp(2 pi i nu t - pi w t - (pi g t)^2/(4 ln 2)) sum_k W_k exp(2 pi i m_k J t),

w the full width at half height of its Lorentzian part, g that of its Gaussian part (the Voigt
profile holds both), (m_k, W_k) the lines of the multiplet.  Its unitary DFT over the points that
were recorded is a geometric sum in closed form without a Gaussian part, and an FFT of the sampled
FID with one: both are exact, truncation and the late first point included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

from nmrqb.analysis.lines import Bins, lorentzian
from nmrqb.analysis.multiplets import Multiplet

Profile = Literal["lorentzian", "gaussian", "voigt"]
PROFILES: tuple[Profile, ...] = ("lorentzian", "gaussian", "voigt")

_WIDTHS: dict[Profile, tuple[str, ...]] = {
    "lorentzian": ("width",),
    "gaussian": ("gaussian_width",),
    "voigt": ("width", "gaussian_width"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineShape:
    """The shape of one line or multiplet.

    Attributes
    ----------
    profile : {"lorentzian", "gaussian", "voigt"}
        Of every line of the multiplet.
    multiplet : Multiplet or None
        None for a single line.
    """

    profile: Profile = "lorentzian"
    multiplet: Multiplet | None = None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {self.profile!r}")

    @property
    def widths(self) -> tuple[str, ...]:
        """Names of the widths that the profile has."""
        return _WIDTHS[self.profile]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the non-linear parameters, in hertz: shift, widths, J."""
        return ("shift", *self.widths, *(("J",) if self.multiplet else ()))

    def full_width_hz(self, values: Mapping[str, float]) -> float:
        """Return the full width at half height of one line of the multiplet.

        That of a Voigt profile is the approximation of Olivero and Longbothum, J. Quant.
        Spectrosc. Radiat. Transf. 17, 233 (1977), good to 0.02 %.
        """
        w, g = values.get("width", 0.0), values.get("gaussian_width", 0.0)
        return float(0.5346 * w + np.sqrt(0.2166 * w**2 + g**2)) if g else float(w)

    def __str__(self) -> str:
        return f"{self.profile} {self.multiplet or 'line'}"


def shape_in_bins(
    bins: Bins, shape: LineShape, values: Mapping[str, float]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return a line of amplitude 1 and phase 0 at time 0, and its derivatives.

    Parameters
    ----------
    bins : Bins
    shape : LineShape
    values : mapping
        One value in hertz for each of `shape.names`; widths >= 0, and > 0 for a Lorentzian line.

    Returns
    -------
    line : ndarray of complex, shape (bins,)
    slopes : ndarray of complex, shape (names, bins)
        By each of `shape.names`, per hertz.
    """
    multiplet = shape.multiplet
    coupling = values.get("J", 0.0)
    orders = np.zeros(1) if multiplet is None else multiplet.orders
    weights = np.ones(1) if multiplet is None else multiplet.weights
    if shape.profile == "lorentzian":
        rate = np.full(len(orders), np.pi * values["width"])
        lines, by_lambda = lorentzian(bins, values["shift"] + orders * coupling, rate)
        slope = weights @ by_lambda
        slopes = [2j * np.pi * slope, -np.pi * slope]
        if multiplet is not None:
            slopes.append(2j * np.pi * ((weights * orders) @ by_lambda))
        return weights @ lines, np.array(slopes)
    t = bins.start_s + bins.dwell_s * np.arange(bins.points)
    width, gaussian = values.get("width", 0.0), values["gaussian_width"]
    fall = np.pi * width * t + (np.pi * gaussian * t) ** 2 / (4.0 * np.log(2.0))
    carrier = np.exp(2j * np.pi * (values["shift"] + orders[0] * coupling) * t - fall)
    fid = carrier
    if multiplet is not None:
        turn = np.exp(2j * np.pi * coupling * t)
        fid = carrier * polyval(turn, weights)
    spectra = [fid, t * fid, t**2 * fid]
    if multiplet is not None:
        spectra.append(t * carrier * polyval(turn, weights * orders))
    found = bins.of_fids(np.array(spectra))
    slopes = [2j * np.pi * found[1]]
    if "width" in shape.names:
        slopes.append(-np.pi * found[1])
    slopes.append(-(np.pi**2) * gaussian / (2.0 * np.log(2.0)) * found[2])
    if multiplet is not None:
        slopes.append(2j * np.pi * found[3])
    return found[0], np.array(slopes)
