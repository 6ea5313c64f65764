"""What ``nmrqb fit`` is told of the lines: profile, multiplet, drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nmrqb.analysis.drift import DRIFTING, Drifting
from nmrqb.analysis.multiplets import Multiplet, parse_multiplet
from nmrqb.analysis.shapes import Profile
from nmrqb.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """The lines of a fit.

    Attributes
    ----------
    profile : {"lorentzian", "gaussian", "voigt"}
    multiplet : Multiplet, "auto" or None
        None where lines are added one by one.
    drift : tuple of {"shift", "phase", "width"} or None
        What every row has of its own; None where the axis decides.
    """

    profile: Profile = "lorentzian"
    multiplet: Multiplet | str | None = None
    drift: tuple[Drifting, ...] | None = None


def line_options(
    profile: Profile, multiplet: str | None, antiphase: bool, drift: Sequence[str]
) -> LineOptions:
    """Return the options of the command line.

    Raises
    ------
    InputError
        Where they cannot be read or do not go together.
    """
    chosen: Multiplet | str | None = multiplet
    if multiplet is not None and multiplet != "auto":
        try:
            chosen = parse_multiplet(multiplet, antiphase=antiphase)
        except ValueError as error:
            raise InputError(str(error), key="--multiplet", value=multiplet) from None
    elif antiphase:
        raise InputError("needs --multiplet N:SPIN", key="--antiphase")
    if not drift:
        return LineOptions(profile=profile, multiplet=chosen)
    if "none" in drift and len(set(drift)) > 1:
        raise InputError("cannot be none and something else", key="--drift", value=" ".join(drift))
    asked = tuple(d for d in DRIFTING if d in drift)
    return LineOptions(profile=profile, multiplet=chosen, drift=asked)
