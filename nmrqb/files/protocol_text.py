"""A Protocol as the text of a protocol file, which reads back to the same Protocol."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import tomlkit

from nmrqb.protocol.protocol import Protocol
from nmrqb.units import Unit, file_key, si_unit


def protocol_text(protocol: Protocol, **inputs: str) -> str:
    """Return the text of a protocol file.

    Parameters
    ----------
    protocol : Protocol
    inputs : str
        `register` and `spectrometer` where the file should name others than the protocol does.
    """
    plain = Protocol.__dataclass_fields__
    document = tomlkit.document()
    document["schema"] = "nmrqb/protocol/1"
    document["name"] = protocol.name
    if protocol.description:
        document["description"] = protocol.description
    document["register"] = inputs.get("register", protocol.register)
    document["spectrometer"] = inputs.get("spectrometer", protocol.spectrometer)
    for name in ("cycles", "scans", "heating"):
        if getattr(protocol, name) != plain[name].default:
            document[name] = getattr(protocol, name)
    for section in ("prepare", "cycle", "discharge", "readout"):
        steps = getattr(protocol, section)
        if steps:
            listed = tomlkit.aot()
            for step in steps:
                table = tomlkit.table()
                table["kind"] = type(step).KIND
                table.update(_fields(step))
                listed.append(table)
            document[section] = listed
    for section in ("reference", "target", "simulation"):
        value = getattr(protocol, section)
        if value is not None and value != plain[section].default:
            document[section] = _fields(value)
    if protocol.sweep is not None:
        sweep = protocol.sweep
        values = [f"{v!r} {sweep.unit}" if sweep.unit else _number(v) for v in sweep.values]
        document["sweep"] = {"key": sweep.key, "values": values}
    if protocol.model != plain["model"].default:
        document["analysis"] = {"model": protocol.model}
    return tomlkit.dumps(document)


def _fields(value: Any) -> dict[str, Any]:
    """Return what differs from the defaults, with units."""
    hints = typing.get_type_hints(type(value), include_extras=True)
    found = {}
    for f in dataclasses.fields(value):
        here = getattr(value, f.name)
        if here is None or (f.default is not dataclasses.MISSING and here == f.default):
            continue
        unit = _unit(hints[f.name])
        if isinstance(here, tuple):
            found[file_key(f.name)] = [_shown(v, unit) for v in here]
        else:
            found[file_key(f.name)] = _shown(here, unit)
    return found


def _shown(value: Any, unit: Unit | None) -> Any:
    # repr gives back the same number: a rounded one would be another protocol
    if unit is None or unit.dimension == "share":
        return value
    return f"{value!r} {si_unit(unit.dimension)}"


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _unit(hint: Any) -> Unit | None:
    """Return the Unit in an annotation, through ``| None`` and tuples."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Unit):
            return extra
    nested = typing.get_origin(hint) in (typing.Union, types.UnionType, tuple, typing.Annotated)
    for inner in typing.get_args(hint) if nested else ():
        found = _unit(inner)
        if found is not None:
            return found
    return None
