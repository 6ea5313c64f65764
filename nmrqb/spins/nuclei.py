"""Sourced constants of the nuclei: the one table of the project, signs included.

References
----------
R. K. Harris et al., NMR nomenclature (IUPAC Recommendations 2001), Pure Appl. Chem. 73, 1795
(2001): frequency ratios Xi, natural abundances and signs of the magnetogyric ratios.
E. Tiesinga et al., CODATA 2018, Rev. Mod. Phys. 93, 025010 (2021): proton magnetogyric ratio,
Planck and Boltzmann constants (the latter two exact in the SI).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: magnetogyric ratio of the free proton, rad s^-1 T^-1 (CODATA 2018)
PROTON_MAGNETOGYRIC_RATIO = 2.6752218744e8
#: J s, exact
PLANCK = 6.62607015e-34
#: J/K, exact
BOLTZMANN = 1.380649e-23
#: 1/mol, exact
AVOGADRO = 6.02214076e23


@dataclass(frozen=True, slots=True, kw_only=True)
class Nucleus:
    """A spin-1/2 isotope.

    Attributes
    ----------
    isotope : str
        Mass number and element, ``"29Si"``.
    frequency_ratio_percent : float
        Xi: resonance frequency of the isotope's reference substance where TMS protons resonate at
        100 MHz (IUPAC 2001).
    sign : int
        Sign of the magnetogyric ratio, +1 or -1.
    abundance_percent : float
        Natural abundance.
    reference : str
        The substance that Xi belongs to.
    """

    isotope: str
    frequency_ratio_percent: float
    sign: int
    abundance_percent: float
    reference: str

    @property
    def relative_gamma(self) -> float:
        """Magnetogyric ratio over that of 1H, sign included (from Xi)."""
        return self.sign * self.frequency_ratio_percent / 100.0

    @property
    def gamma_rad_per_s_tesla(self) -> float:
        """Magnetogyric ratio, rad s^-1 T^-1, sign included."""
        return self.relative_gamma * PROTON_MAGNETOGYRIC_RATIO

    def larmor_hz(self, field_tesla: float) -> float:
        """Return the magnitude of the Larmor frequency in Hz at a field in tesla."""
        return abs(self.gamma_rad_per_s_tesla) * field_tesla / (2.0 * math.pi)

    def thermal_polarisation(self, field_tesla: float, temperature_kelvin: float) -> float:
        """Return eps = tanh(h nu / 2 k T), the magnitude of the equilibrium polarisation."""
        energy = PLANCK * self.larmor_hz(field_tesla)
        return math.tanh(energy / (2.0 * BOLTZMANN * temperature_kelvin))


_TABLE = (
    ("1H", 100.000000, +1, 99.9885, "(CH3)4Si"),
    ("13C", 25.145020, +1, 1.07, "(CH3)4Si"),
    ("15N", 10.136767, -1, 0.368, "CH3NO2"),
    ("19F", 94.094011, +1, 100.0, "CCl3F"),
    ("29Si", 19.867187, -1, 4.6832, "(CH3)4Si"),
    ("31P", 40.480742, +1, 100.0, "H3PO4"),
)

#: isotope -> Nucleus
NUCLEI: dict[str, Nucleus] = {
    isotope: Nucleus(
        isotope=isotope,
        frequency_ratio_percent=xi,
        sign=sign,
        abundance_percent=abundance,
        reference=reference,
    )
    for isotope, xi, sign, abundance, reference in _TABLE
}


def nucleus(isotope: str) -> Nucleus:
    """Return the constants of a spin-1/2 isotope.

    Raises
    ------
    ValueError
        For an isotope outside the table; the message lists the table.
    """
    try:
        return NUCLEI[isotope]
    except KeyError:
        known = ", ".join(NUCLEI)
        raise ValueError(f"must be a spin-1/2 isotope ({known}), but is {isotope!r}") from None
