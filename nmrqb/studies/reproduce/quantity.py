"""Named quantities: what an entry may ask for, and how its arguments are checked."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.dephased_star import DephasedStar

Array = NDArray[np.float64]
Kind = Literal["number", "profile", "map"]


def moved_star(star: DephasedStar, key: str, value: float) -> DephasedStar:
    """Return the star with one of its keys set; ValueError where the star refuses it."""
    changed: dict[str, Any] = {key: value}
    return replace(star, **changed)


def check_at_least(least: float, **arguments: float) -> None:
    """Raise ValueError for the first argument that lies below `least`."""
    for name, value in arguments.items():
        if not value >= least:
            raise ValueError(f"`{name}` must be at least {least:g}, but is {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One quantity of the table.

    Attributes
    ----------
    name : str
        As entries write it: the function's name with dashes.
    unit : str
    accuracy : str
        Bound on the error of the number, or why it has none.
    meaning : str
        First line of the function's documentation.
    kind : {"number", "profile", "map"}
        A number; (x, y); or (x, y, z) with z of shape (len(y), len(x)).
    compute : callable
        Its keyword arguments are those of the entry, `star` among them where it has one.
    over : str or None
        The argument that may be an array: a curve along it is one call.
    parameters : mapping
        Argument -> annotation, in order.
    required : frozenset of str
        Arguments without a default.
    """

    name: str
    unit: str
    accuracy: str
    meaning: str
    kind: Kind
    compute: Callable[..., Any]
    over: str | None = None
    parameters: Mapping[str, Any] = field(repr=False)
    required: frozenset[str]

    @classmethod
    def of(
        cls,
        compute: Callable[..., Any],
        unit: str,
        accuracy: str,
        *,
        over: str | None = None,
        kind: Kind = "number",
    ) -> Quantity:
        """Return the quantity that a function with annotated keyword arguments computes."""
        hints = typing.get_type_hints(compute)
        hints.pop("return", None)
        required = {
            name
            for name, parameter in inspect.signature(compute).parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        # an array argument is given as one number where it is not swept
        annotations = {k: float if k == over else hint for k, hint in hints.items()}
        return cls(
            name=compute.__name__.replace("_", "-"),
            unit=unit,
            accuracy=accuracy,
            meaning=(compute.__doc__ or "").strip().splitlines()[0],
            kind=kind,
            compute=compute,
            over=over,
            parameters=annotations,
            required=frozenset(required),
        )

    @property
    def has_star(self) -> bool:
        """Whether it is one of a driven, dephased star."""
        return "star" in self.parameters

    def checked(self, name: str, value: object) -> Any:
        """Return one argument in its type.

        Raises
        ------
        ValueError
            Saying what it must be.
        """
        from pydantic import ConfigDict, TypeAdapter, ValidationError

        if self.parameters[name] is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            adapter = TypeAdapter(self.parameters[name], config=ConfigDict(strict=True))
            return adapter.validate_json(json.dumps(value, default=str))
        except ValidationError as error:
            wanted = error.errors(include_url=False)[0]["msg"].replace("Input should be", "must be")
            raise ValueError(f"{wanted[0].lower()}{wanted[1:]}, but is {value!r}") from None

    def number(self, star: DephasedStar | None, arguments: Mapping[str, Any]) -> float:
        """Return the number of one set of arguments."""
        value = self._call(star, arguments)
        return float(value[0]) if self.over is not None else float(value)

    def along(self, star: DephasedStar | None, arguments: Mapping[str, Any], at: Array) -> Array:
        """Return the numbers along the array argument, shape of `at`."""
        assert self.over is not None
        return np.asarray(self._call(star, {**arguments, self.over: at}), dtype=np.float64)

    def profile(self, star: DephasedStar | None, arguments: Mapping[str, Any]) -> tuple[Array, ...]:
        """Return the arrays of a profile (x, y) or of a map (x, y, z)."""
        return tuple(np.asarray(a, dtype=np.float64) for a in self._call(star, arguments))

    def _call(self, star: DephasedStar | None, arguments: Mapping[str, Any]) -> Any:
        given = dict(arguments) | ({"star": star} if self.has_star else {})
        if self.over is not None and not isinstance(given.get(self.over), np.ndarray):
            given[self.over] = np.array([given[self.over]], dtype=np.float64)
        return self.compute(**given)
