"""Array axes by rule: a product of an experiment's own parameters, such as ``L[20]*D[20]``.

Within one experiment of several rows a list may be a factor: ``VC*D[20]*2``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from nmrqb.errors import InputError
from nmrqb.files.vendors.bruker_parameters import Parameters

Kind = Literal["L", "D", "P", "CNST"]
_LISTS = {"VC": False, "VD": True, "VP": True}  # whether it is a time
_SECONDS: dict[str, float] = {"D": 1.0, "P": 1e-6}  # delays are stored in s, pulses in us
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FACTOR = re.compile(rf"({'|'.join(get_args(Kind))})(?:\[([0-9]{{1,4}})\])", re.IGNORECASE)
_PROGRAM_FACTOR = re.compile(rf"({'|'.join(get_args(Kind))})([0-9]{{1,4}})", re.IGNORECASE)
_SYNTAX = "a product of L[n], D[n], P[n], CNST[n] and numbers, such as L[20]*D[20]"


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisRule:
    """A product of a number and parameters: loop counters, delays, pulses, constants.

    Attributes
    ----------
    number : float
    parameters : tuple of (kind, index)
        At most one delay or pulse, which makes the product a time in seconds.
    lists : tuple of str
        List kinds (VC, VD, VP) that are factors, VD and VP times in seconds.
    """

    number: float
    parameters: tuple[tuple[Kind, int], ...]
    lists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.number) and self.number > 0.0):
            raise ValueError(f"the number must be finite and positive, but is {self.number:g}")
        if not (self.parameters or self.lists):
            raise ValueError("at least one parameter is needed")
        times = sum(kind in _SECONDS for kind, _ in self.parameters)
        if times + sum(_LISTS[kind] for kind in self.lists) > 1:
            raise ValueError("at most one factor may be a delay or a pulse: times no area")

    @property
    def is_time(self) -> bool:
        """True where the product is a time in seconds, else it is a count."""
        return any(kind in _SECONDS for kind, _ in self.parameters) or any(
            _LISTS[kind] for kind in self.lists
        )

    @property
    def name(self) -> str:
        """Name of the axis."""
        kinds = {*(kind for kind, _ in self.parameters), *self.lists}
        if kinds & {"D", "VD"}:
            return "delay"
        return "pulse length" if kinds & {"P", "VP"} else str(self)

    def value(self, acqus: Parameters) -> float:
        """Return the product for one experiment, s where it is a time.

        Raises
        ------
        InputError
            Where a parameter is missing, out of range or negative.
        """
        product = self.number
        for kind, index in self.parameters:
            listed = acqus.numbers(kind)
            if index >= len(listed):
                raise InputError(
                    f"the axis rule {self} asks for {kind}[{index}], but there are "
                    f"{kind}[0] to {kind}[{len(listed) - 1}]",
                    file=str(acqus.path),
                    key=kind,
                    value=f"{kind}[{index}]",
                    limit=f"0 to {len(listed) - 1}",
                )
            product *= listed[index] * _SECONDS.get(kind, 1.0)
        if not (math.isfinite(product) and product >= 0.0):
            raise InputError(
                f"the axis rule {self} must give a value of at least 0, but gives {product:g}",
                file=str(acqus.path),
                key="--axis",
                value=product,
            )
        return product

    def __str__(self) -> str:
        factors = [*self.lists, *(f"{kind}[{index}]" for kind, index in self.parameters)]
        return "*".join([f"{self.number:g}", *factors] if self.number != 1.0 else factors)


def is_rule(axis_source: str) -> bool:
    """Return whether an ``--axis`` text is a rule: it looks like one and no such file exists."""
    too_long = len(axis_source) > 255  # for the name of a file
    looks_like_one = "[" in axis_source or "*" in axis_source
    return looks_like_one and (too_long or not Path(axis_source).is_file())


def parse_rule(text: str, *, lists: bool = False) -> AxisRule:
    """Return the rule of an ``--axis`` text, with factors VC, VD, VP only where `lists`.

    Raises
    ------
    InputError
        Where it is not such a product.
    """
    try:
        return _product(text, _FACTOR, lists=lists)
    except ValueError as error:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise InputError(
            f"must be {_SYNTAX}, but is {shown!r} ({error})",
            key="--axis",
            value=shown,
            limit=_SYNTAX,
        ) from None


def program_products(commands: str) -> tuple[dict[str, AxisRule], list[tuple[str, str]]]:
    """Return what a pulse program defines as a product of loop counter and delay.

    Parameters
    ----------
    commands : str
        The pulse program without comments.

    Returns
    -------
    products : dict of name to AxisRule
        ``"tbup=l20*d20"`` gives ``{"tbup": L[20]*D[20]}``.
    others : list of (name, expression)
        Other definitions of the same names, which contradict them.
    """
    products: dict[str, AxisRule] = {}
    others: list[tuple[str, str]] = []
    found = re.findall(r'"\s*([A-Za-z_]\w*)\s*=\s*([^"\n]{1,80})"', commands)
    for name, expression in found:
        try:
            rule = _product(expression, _PROGRAM_FACTOR)
        except ValueError:
            continue
        kinds = [kind for kind, _ in rule.parameters]
        if "L" in kinds and "D" in kinds:
            products.setdefault(name, rule)
    for name, expression in found:
        if name not in products:
            continue
        try:
            same = _product(expression, _PROGRAM_FACTOR) == products[name]
        except ValueError:
            same = False
        if not same:
            others.append((name, "".join(expression.split())))
    return products, others


def _product(text: str, pattern: re.Pattern[str], *, lists: bool = False) -> AxisRule:
    number = 1.0
    parameters: list[tuple[Kind, int]] = []
    named: list[str] = []
    for factor in (word.strip() for word in text.split("*")):
        match = pattern.fullmatch(factor)
        if match is not None:
            kind = match.group(1).upper()
            parameters.append((next(k for k in get_args(Kind) if k == kind), int(match.group(2))))
        elif lists and factor.upper() in _LISTS:
            named.append(factor.upper())
        elif _NUMBER.fullmatch(factor):
            number *= float(factor)
        else:
            raise ValueError(f"{factor[:20]!r} is no such factor")
    return AxisRule(number=number, parameters=tuple(parameters), lists=tuple(named))
