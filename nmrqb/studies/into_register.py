"""From a fit into a register: measurement feeds the plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmrqb.analysis.buildup import BuildUpFit
from nmrqb.errors import InputError, one_line
from nmrqb.files.register_edit import (
    SPINS,
    Quantity,
    Spin,
    edited_register,
    place_of,
    replace_file,
    user_register,
)
from nmrqb.files.toml import read_register
from nmrqb.spins.register import Measured, Species
from nmrqb.studies.fit_models import MODELS, Model, fit_model

if TYPE_CHECKING:
    from nmrqb.studies.fit_result import FitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTarget:
    """Where a measured time is to go.

    Attributes
    ----------
    path : Path
        A register file of the user.
    spin : str
        As the user named it.
    place : {"center", "satellite", "load"}
    isotope : str
    quantity : {"t1", "t2"}
    """

    path: Path
    spin: Spin
    place: str
    isotope: str
    quantity: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterUpdate:
    """What goes into a register, or why nothing does.

    Attributes
    ----------
    target : RegisterTarget
    measured : Measured or None
        In seconds.
    content : bytes
        The register file with it.
    reason : str or None
        Why nothing is written.
    """

    target: RegisterTarget
    measured: Measured | None
    content: bytes = field(repr=False, default=b"")
    reason: str | None = None

    def write(self) -> None:
        """Write the register file, whole or not at all; nothing where there is a reason not to."""
        if self.reason is None:
            replace_file(self.target.path, self.content)

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        measured = self.measured
        return {
            "file": str(self.target.path),
            "spin": self.target.spin,
            "key": f"{self.target.place}.{self.target.quantity}",
            "written": self.reason is None,
            "value": None if measured is None else measured.value,
            "stderr": None if measured is None else measured.stderr,
            "unit": "s",
            "source": None if measured is None else measured.source,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        key = f"{self.target.place}.{self.target.quantity}"
        if self.measured is None:
            return f"{key} of {self.target.path} is unchanged: {self.reason}"
        return f"{key} of {self.target.path} is now {self.measured.value:.6g} s"


def register_target(
    into: str | None, spin: Spin | None, model: Model, curve: str | None = None
) -> RegisterTarget | None:
    """Return where a fit's time is to go; None where that was not asked for.

    Raises
    ------
    InputError
        Where the options do not fit together or the file may not be edited.
    """
    if into is None:
        if spin is not None:
            raise InputError("belongs to --into R.toml", key="--spin", value=spin)
        return None
    if spin is None:
        raise InputError(f"is needed by --into: one of {', '.join(SPINS)}", key="--spin")
    quantity = fit_model(model, curve).measures
    if quantity is None:
        if MODELS[model].measures is not None:
            raise InputError(
                f"--curve {curve} of --model {model} measures no T1 or T2 of a register: only one "
                "exponential does",
                key="--into",
                value=curve,
                limit="one exponential",
            )
        able = ", ".join(name for name, m in MODELS.items() if m.measures is not None)
        raise InputError(
            f"--model {model} measures no T1 or T2 of a register (models that do: {able})",
            key="--into",
            value=model,
            limit=able,
        )
    path = user_register(into)
    place, isotope = place_of(path, spin)
    register = read_register(path)
    species = register.species(isotope)
    if quantity == "t1" and isinstance(species, Species) and species.recovery is not None:
        raise InputError(
            "holds a measured `recovery` of this spin, which plans use instead of T1: take it out "
            "first",
            file=str(path),
            key=f"{place}.recovery",
        )
    return RegisterTarget(path=path, spin=spin, place=place, isotope=isotope, quantity=quantity)


def updated(result: FitResult, target: RegisterTarget) -> FitResult:
    """Return a fit with what goes into the register; nothing is written yet.

    Raises
    ------
    InputError
        Where the data show another nucleus, several regions were fitted, or the register with the
        new value would not be valid.
    """
    if result.series.nucleus != target.isotope:
        raise InputError(
            f"the data show {result.series.nucleus}, but {target.spin} is {target.isotope} in "
            "this register",
            file=str(target.path),
            key="--spin",
            value=target.spin,
        )
    if len(result.regions) != 1:
        listed = ", ".join("{:.4g}:{:.4g}".format(*r.line.region_ppm) for r in result.regions[:6])
        raise InputError(
            f"{len(result.regions)} regions were fitted ({listed}): say with --region which one "
            "belongs to the spin",
            file=result.dataset,
            key="--region",
        )
    region = result.regions[0]
    curve, compared = region.curve, region.alternatives
    found = None if curve is None else curve.parameters[result.kind.main]
    reason: str | None = None
    if found is None or found.value is None or found.stderr is None:
        reason = region.reason or (found.reason if found else None) or "not identifiable"
    elif isinstance(curve, BuildUpFit) and not curve.is_mono_exponential:
        reason = "the build-up is not mono-exponential: a stretched T is no T1"
    elif result.curve is None and compared is not None and compared.gives_up_simplest:
        reason = (
            f"the points ask for another curve than one exponential ({compared.words}); --curve "
            "mono takes the time of one exponential all the same"
        )
    if reason is not None or found is None or found.value is None:
        return replace(result, into=RegisterUpdate(target=target, measured=None, reason=reason))
    low, high = region.line.region_ppm
    # an experiment number says little without the name of the folder above it
    name = one_line("/".join(Path(result.dataset).resolve().parts[-2:]))[-80:]
    measured = Measured(
        value=found.value,
        stderr=found.stderr,
        source=f"nmrqb fit --model {result.model} of {name}, {low:.5g} to {high:.5g} ppm",
    )
    content = edited_register(target.path, target.place, target.quantity, measured)
    return replace(result, into=RegisterUpdate(target=target, measured=measured, content=content))
