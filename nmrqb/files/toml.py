"""Registers, spectrometers and protocols from TOML: every problem of a file at once."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from nmrqb.errors import InputError, Problem
from nmrqb.files.shipped import find_file
from nmrqb.protocol.protocol import (
    COUNTED,
    MAX_POINTS_OF_SWEEP,
    MODELS,
    Protocol,
    Reference,
    Simulation,
    Sweep,
    Target,
    sweep_target,
)
from nmrqb.protocol.steps import STEP_KINDS
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import SpinRegister
from nmrqb.units import Unit, file_key, si_unit

T = TypeVar("T")
_MAX_BYTES = 2**20


def read_register(name: str | Path) -> SpinRegister:
    """Read a register: a shipped name (``"ttss"``) or a path.

    Raises
    ------
    InputError
        Listing every problem with file, key, value and what is allowed.
    """
    path = find_file("register", name)
    return parse_register(read_bytes(path), str(path))


def parse_register(raw: bytes, file: str) -> SpinRegister:
    """Return the register that TOML text holds, as ``read_register`` does."""
    table = parse_toml(raw, file, "nmrqb/register/1")
    loads = table.get("load")
    if isinstance(loads, list):
        raise InputError(
            f"must be one table, but lists {len(loads)}: a battery discharges into one load (a "
            "second one would share the exchange, which is not simulated)",
            file=file,
            key="load",
            value=len(loads),
            limit="one [load]",
        )
    return _noun(SpinRegister, table, file)


def read_spectrometer(name: str | Path) -> Spectrometer:
    """Read a spectrometer: a shipped name (``"generic"``) or a path."""
    path = find_file("spectrometer", name)
    return _noun(Spectrometer, read_toml(path, "nmrqb/spectrometer/1"), str(path))


def read_protocol(name: str | Path, *, beside: bool = False) -> Protocol:
    """Read a protocol: a shipped name (``"asymptotic_ttss"``) or a path.

    Its `register` and `spectrometer` come back as shipped names or as paths that exist; with
    `beside` they are the copies ``register.toml`` and ``spectrometer.toml`` of its own folder, as
    a result folder holds them.
    """
    path = find_file("protocol", name)
    table = read_toml(path, "nmrqb/protocol/1")
    if beside:
        table |= {kind: f"{kind}.toml" for kind in ("register", "spectrometer")}
    return _protocol(table, str(path))


def read_noun(cls: type[T], path: Path, schema: str) -> T:
    """Read a file that holds one dataclass, such as how a thermal reference was recorded."""
    return _noun(cls, read_toml(path, schema), str(path))


def read_toml(path: Path, schema: str) -> dict[str, Any]:
    """Return the table of a TOML file whose first key is ``schema = "..."``, without that key."""
    return parse_toml(read_bytes(path), str(path), schema)


def read_bytes(path: Path) -> bytes:
    """Return what a file holds."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=str(path)) from None


def parse_toml(raw: bytes, file: str, schema: str) -> dict[str, Any]:
    """Return the table of TOML text, as ``read_toml`` does; `file` is for messages."""
    if len(raw) > _MAX_BYTES:
        raise InputError("is too large", file=file, value=len(raw), limit="1 MiB at most")
    try:
        table = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", file=file) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"is not valid TOML: {error}", file=file) from None
    _refuse_control_characters(table, file, "")
    found = table.pop("schema", None)
    if found != schema:
        raise InputError(
            f"must be {schema!r}, but is {found!r}",
            file=file,
            key="schema",
            value=found,
            limit=schema,
        )
    return table


def _refuse_control_characters(value: object, file: str, key: str) -> None:
    """Refuse escape sequences and the like in any text of a file: they end up on terminals."""
    if isinstance(value, str):
        if any(not (c.isprintable() or c in "\n\t") for c in value):
            raise InputError(
                "must not hold control characters", file=file, key=key, value=ascii(value)
            )
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_control_characters(str(name), file, key)
            _refuse_control_characters(inner, file, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            _refuse_control_characters(inner, file, f"{key}.{k}")


def _noun(cls: type[T], table: dict[str, Any], file: str) -> T:
    problems: list[Problem] = []
    value = validate(cls, table, file, "", problems)
    if problems or value is None:
        raise InputError(problems)
    return value


def validate(
    cls: type[T], table: Mapping[str, Any], file: str, prefix: str, problems: list[Problem]
) -> T | None:
    """Return `table` as an instance of a dataclass, or None with `problems` extended.

    Units, types and unknown keys are checked by the annotations of the class itself.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        # JSON input lets strict types (no "36" for 36) go with tables and lists
        text = json.dumps(table, default=str)
        return TypeAdapter(cls).validate_json(text)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            problems.append(_problem(cls, dict(item), file, prefix))
    except RecursionError:
        problems.append(Problem(message="is nested too deeply", file=file))
    return None


def _problem(cls: type, item: dict[str, Any], file: str, prefix: str) -> Problem:
    location = [str(part) for part in item["loc"]]
    key = ".".join([*([prefix] if prefix else []), *location]) or None
    kind, value = item["type"], item.get("input")
    parent = _class_at(cls, location[:-1])
    if kind in ("unexpected_keyword_argument", "extra_forbidden") and parent is not None:
        allowed = sorted(file_key(f.name) for f in dataclasses.fields(parent))
        return _unknown(file, key or "", location[-1], allowed)
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return Problem(message="is missing", file=file, key=key, limit=_wanted(parent, location))
    if kind == "value_error":
        message = re.sub(r"^Value error, ", "", item["msg"])
    else:
        wanted = item["msg"].replace("Input should be", "must be")
        wanted = wanted[0].lower() + wanted[1:]
        message = f"{wanted}, but is {_short(value)}"
    return Problem(message=message, file=file, key=key, value=_short(value))


def _unknown(file: str, key: str, name: str, allowed: list[str]) -> Problem:
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    listed = ", ".join(allowed)
    return Problem(
        message=f"unknown key (allowed: {listed or 'none'}{hint})", file=file, key=key, limit=listed
    )


def _wanted(parent: type | None, location: list[str]) -> str | None:
    if parent is None or not location:
        return None
    for f in dataclasses.fields(parent):
        if file_key(f.name) == location[-1]:
            unit = _unit_of(parent, f.name)
            return f"a {unit.dimension}" if unit else None
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _class_at(cls: type, location: list[str]) -> type | None:
    for part in location:
        if part.isdigit():
            continue
        hints = typing.get_type_hints(cls)
        for f in dataclasses.fields(cls):
            if file_key(f.name) == part:
                inner = hints[f.name]
                inner = next(iter(typing.get_args(inner)), inner)
                if not dataclasses.is_dataclass(inner) or not isinstance(inner, type):
                    return None
                cls = inner
                break
        else:
            return None
    return cls


def _unit_of(cls: type, field: str) -> Unit | None:
    """Return the Unit annotation of a dataclass field, through ``| None``."""
    hint = typing.get_type_hints(cls, include_extras=True)[field]
    candidates = [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        candidates = list(typing.get_args(hint))
    for candidate in candidates:
        for extra in getattr(candidate, "__metadata__", ()):
            if isinstance(extra, Unit):
                return extra
    return None


_PROTOCOL_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "description": str,
    "register": str,
    "spectrometer": str,
    "cycles": int,
    "scans": int,
    "heating": str,
    "prepare": list,
    "cycle": list,
    "discharge": list,
    "readout": list,
    "reference": dict,
    "sweep": dict,
    "simulation": dict,
    "analysis": dict,
    "target": dict,
}
_TYPE_NAMES = {str: "text", int: "a whole number", list: "a list of tables", dict: "a table"}


def _protocol(table: dict[str, Any], file: str) -> Protocol:
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        wanted = _PROTOCOL_KEYS.get(key)
        if wanted is None:
            problems.append(_unknown(file, key, key, sorted(_PROTOCOL_KEYS)))
        elif not isinstance(value, wanted) or isinstance(value, bool):
            assert isinstance(wanted, type)
            problems.append(
                Problem(
                    message=f"must be {_TYPE_NAMES[wanted]}, but is {_short(value)}",
                    file=file,
                    key=key,
                    value=_short(value),
                )
            )
        elif wanted in (str, int):
            values[key] = value
    for key in ("register", "spectrometer", "prepare", "readout"):
        if key not in table:
            problems.append(Problem(message="is missing", file=file, key=key))
    for kind in ("register", "spectrometer"):
        if kind in values:
            try:
                values[kind] = _resolved(kind, values[kind], file)
            except InputError as error:
                problems += error.problems
    for section in ("prepare", "cycle", "discharge", "readout"):
        listed = table.get(section, [])
        if isinstance(listed, list):
            values[section] = _steps(section, listed, file, problems)
    nouns: dict[str, type] = {
        "reference": Reference,
        "simulation": Simulation,
        "target": Target,
    }
    for section, cls in nouns.items():
        given = table.get(section)
        if isinstance(given, dict):
            found: Any = validate(cls, given, file, section, problems)
            if found is not None:
                values[section] = found
    if isinstance(table.get("analysis"), dict):
        values |= _analysis(table["analysis"], file, problems)
    values.setdefault("name", Path(file).stem)
    if problems:
        raise InputError(problems)
    try:
        protocol = Protocol(**values)
        if "sweep" in table:
            sweep = _sweep(protocol, table["sweep"], file, problems)
            if sweep is not None:
                protocol = dataclasses.replace(protocol, sweep=sweep)
                for row in range(protocol.rows):
                    try:
                        protocol.at(row)
                    except ValueError as error:
                        key = f"sweep.values.{row}"
                        problems.append(Problem(message=str(error), file=file, key=key))
    except ValueError as error:
        problems.append(Problem(message=str(error), file=file))
    if problems:
        raise InputError(problems)
    return protocol


def _resolved(kind: str, name: str, file: str) -> str:
    """Return a shipped name as it is and a path as one that exists from anywhere."""
    path = find_file(kind, name, file=file)
    is_path = name.endswith(".toml") or "/" in name or "\\" in name
    return str(path.resolve()) if is_path else name


def _steps(section: str, listed: list[Any], file: str, problems: list[Problem]) -> tuple[Any, ...]:
    kinds = {cls.KIND: cls for cls in STEP_KINDS[section]}  # type: ignore[attr-defined]
    steps: list[Any] = []
    for position, table in enumerate(listed):
        key = f"{section}.{position}"
        kind = table.get("kind") if isinstance(table, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            allowed = ", ".join(kinds)
            problems.append(
                Problem(
                    message=f"must be one of {allowed}, but is {kind!r}",
                    file=file,
                    key=f"{key}.kind",
                    value=None if kind is None else str(kind),
                    limit=allowed,
                )
            )
            continue
        rest = {k: v for k, v in table.items() if k != "kind"}
        step = validate(kinds[kind], rest, file, key, problems)
        if step is not None:
            steps.append(step)
    return tuple(steps)


def _analysis(table: dict[str, Any], file: str, problems: list[Problem]) -> dict[str, Any]:
    for key in table:
        if key != "model":
            problems.append(_unknown(file, f"analysis.{key}", key, ["model"]))
    model = table.get("model", "charging")
    if model not in MODELS:
        allowed = ", ".join(MODELS)
        problems.append(
            Problem(
                message=f"must be one of {allowed}, but is {model!r}",
                file=file,
                key="analysis.model",
                value=str(model),
                limit=allowed,
            )
        )
        return {}
    return {"model": model}


def _sweep(
    protocol: Protocol, table: dict[str, Any], file: str, problems: list[Problem]
) -> Sweep | None:
    before = len(problems)
    for name in table:
        if name not in ("key", "values"):
            problems.append(_unknown(file, f"sweep.{name}", name, ["key", "values"]))
    key, listed = table.get("key"), table.get("values")
    if not isinstance(key, str):
        problems.append(
            Problem(
                message="must be text such as cycles or cycle.0.delay", file=file, key="sweep.key"
            )
        )
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_POINTS_OF_SWEEP:
        problems.append(
            Problem(
                message=f"must be a list of 1 to {MAX_POINTS_OF_SWEEP} values",
                file=file,
                key="sweep.values",
            )
        )
    if len(problems) > before or not isinstance(key, str) or not isinstance(listed, list):
        return None
    unit: Unit | None = None
    counted = key == "cycles" or key.rsplit(".", 1)[-1] in COUNTED
    if key != "cycles":
        try:
            section, position, field = sweep_target(protocol, key)
        except ValueError as error:
            problems.append(Problem(message=str(error), file=file, key="sweep.key", value=key))
            return None
        unit = _unit_of(type(getattr(protocol, section)[position]), field)
    values = []
    for position, value in enumerate(listed):
        try:
            values.append(_swept_value(value, unit, counted))
        except ValueError as error:
            problems.append(
                Problem(
                    message=str(error),
                    file=file,
                    key=f"sweep.values.{position}",
                    value=_short(value),
                )
            )
    if len(problems) > before:
        return None
    return Sweep(key=key, values=tuple(values), unit=si_unit(unit.dimension) if unit else "")


def _swept_value(value: object, unit: Unit | None, counted: bool) -> float:
    if unit is not None:
        return unit.parse(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, but is {_short(value)}")
    if counted and (value != int(value) or value < 0):
        raise ValueError(f"must be a whole number of at least 0, but is {value}")
    return float(value)
