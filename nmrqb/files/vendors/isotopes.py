"""Which nucleus a data set observes: the vendors' labels, held against the frequencies.

References
----------
R. K. Harris et al., NMR nomenclature (IUPAC Recommendations 2001), Pure Appl. Chem. 73, 1795
(2001): frequency ratios Xi.
"""

from __future__ import annotations

import re
from pathlib import Path

from nmrqb.errors import InputError

#: isotope -> Xi, frequency in MHz where the protons of TMS are at 100 MHz
FREQUENCY_RATIOS: dict[str, float] = {
    "1H": 100.0, "2H": 15.350609, "3H": 106.663974, "3He": 76.179437, "6Li": 14.716086,
    "7Li": 38.863797, "9Be": 14.051813, "10B": 10.743658, "11B": 32.083974, "13C": 25.145020,
    "14N": 7.226317, "15N": 10.136767, "17O": 13.556457, "19F": 94.094011, "23Na": 26.451900,
    "25Mg": 6.121635, "27Al": 26.056859, "29Si": 19.867187, "31P": 40.480742, "33S": 7.676000,
    "35Cl": 9.797909, "37Cl": 8.155725, "39K": 4.666373, "43Ca": 6.730029, "45Sc": 24.291747,
    "51V": 26.302948, "55Mn": 24.789218, "57Fe": 3.237778, "59Co": 23.727074, "63Cu": 26.515473,
    "65Cu": 28.403693, "67Zn": 6.256803, "69Ga": 24.001354, "71Ga": 30.496704, "73Ge": 3.488315,
    "75As": 17.122614, "77Se": 19.071513, "79Br": 25.053980, "81Br": 27.006518, "85Rb": 9.654943,
    "87Rb": 32.720454, "89Y": 4.900198, "93Nb": 24.476170, "95Mo": 6.516926, "103Rh": 3.186447,
    "107Ag": 4.047819, "109Ag": 4.653533, "111Cd": 21.215480, "113Cd": 22.193175,
    "115In": 21.912629, "117Sn": 35.632259, "119Sn": 37.290632, "121Sb": 23.930577,
    "123Te": 26.169742, "125Te": 31.549769, "127I": 20.007486, "129Xe": 27.810186,
    "131Xe": 8.243921, "133Cs": 13.116142, "137Ba": 11.112928, "139La": 14.125641,
    "171Yb": 17.499306, "183W": 4.166387, "195Pt": 21.496784, "199Hg": 17.910822,
    "203Tl": 57.123200, "205Tl": 57.683838, "207Pb": 20.920599, "209Bi": 16.069288,
}  # fmt: skip

_ELEMENTS = {
    "proton": "1H", "hydrogen": "1H", "deuterium": "2H", "lithium": "Li", "boron": "B",
    "carbon": "C", "nitrogen": "N", "oxygen": "O", "fluorine": "F", "sodium": "Na",
    "aluminum": "Al", "aluminium": "Al", "silicon": "Si", "phosphorus": "P", "selenium": "Se",
    "tin": "Sn", "xenon": "Xe", "platinum": "Pt", "cadmium": "Cd", "mercury": "Hg", "lead": "Pb",
}  # fmt: skip
#: shift ranges of heavy nuclei reach a per cent
_SAME = 0.012
#: where the label is wrong, how close the frequency must be to that of one isotope
_CLOSE = 0.0025


def isotope_of(label: str) -> str | None:
    """Return the isotope of a vendor's label (13C, C13, ^13C, <13C>, Carbon13, Proton) or None."""
    word = label.strip().strip("<>^\"' ").replace("_", "").replace("-", "")
    match = re.fullmatch(r"([0-9]*)([A-Za-z]+)([0-9]*)", word)
    if match is None or (match.group(1) and match.group(3)):
        return None
    mass, name = match.group(1) or match.group(3), match.group(2)
    element = _ELEMENTS.get(name.lower(), name)
    known = element if element[0].isdigit() else f"{mass}{element[:1].upper()}{element[1:].lower()}"
    if known in FREQUENCY_RATIOS and (not mass or known.startswith(mass)):
        return known
    return None


def observed_nucleus(
    path: Path, key: str, label: str, observed_hz: float, proton_hz: float | None, notes: list[str]
) -> str:
    """Return the observed isotope: that of the label unless the frequencies contradict it.

    Parameters
    ----------
    path, key : Path, str
        Where the label stands.
    label : str
    observed_hz : float
        Frequency of the carrier or of 0 ppm.
    proton_hz : float or None
        Proton frequency of the magnet, where the data set states it apart from `observed_hz`.
    notes : list of str
        Warnings are added here.

    Raises
    ------
    InputError
        Where the label is no nucleus, or the frequencies are those of none.
    """
    isotope = isotope_of(label)
    if isotope is None:
        raise InputError(
            f"must name the observed nucleus (such as 1H or 29Si), but is {label[:40]!r}",
            file=str(path),
            key=key,
            value=label[:40],
        )
    if proton_hz is None:
        field = observed_hz / FREQUENCY_RATIOS[isotope]  # proton frequency / 100
        if not 5e4 <= field <= 1.6e7:
            raise InputError(
                f"{isotope} at {observed_hz / 1e6:.6g} MHz would be a magnet of "
                f"{field / 1e4:.4g} MHz for protons: label or frequency is wrong",
                file=str(path),
                key=key,
                value=label[:40],
            )
        return isotope
    ratio = 100.0 * observed_hz / proton_hz
    if abs(ratio / FREQUENCY_RATIOS[isotope] - 1.0) <= _SAME:
        return isotope
    nearest = min(FREQUENCY_RATIOS, key=lambda name: abs(ratio / FREQUENCY_RATIOS[name] - 1.0))
    if abs(ratio / FREQUENCY_RATIOS[nearest] - 1.0) > _CLOSE:
        raise InputError(
            f"says {label[:40]!r}, but {observed_hz / 1e6:.6g} MHz in a magnet of "
            f"{proton_hz / 1e6:.6g} MHz for protons is not that nucleus",
            file=str(path),
            key=key,
            value=label[:40],
        )
    notes.append(
        f"{path.name}: {key} says {label[:40]!r}, but {observed_hz / 1e6:.6g} MHz in a magnet of "
        f"{proton_hz / 1e6:.6g} MHz for protons is {nearest}: {nearest} is taken"
    )
    return nearest
