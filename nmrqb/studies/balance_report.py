"""The energy balance of a run in its report and in result.json."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from nmrqb.report import html
from nmrqb.report.balance_figure import draw_energies, draw_flow
from nmrqb.studies.energy_balance import ROLES, UNIT, EnergyBalance, energy_scale

if TYPE_CHECKING:
    from nmrqb.spins.register import SpinRegister
    from nmrqb.studies.plan import Plan, Prediction

_NO_ERROR = "exact simulation of the register's nominal values: their errors are not propagated"


def balance_object(prediction: Prediction, register: SpinRegister) -> dict[str, Any] | None:
    """Return the balance for result.json; None where no load takes part."""
    if prediction.balances is None:
        return None
    return {
        "unit": UNIT,
        "counted_from": "the identity level; all spins of a role in one molecule",
        "energy_of_one_spin": {role: energy_scale(register, role) for role in ROLES},
        "stderr_reason": _NO_ERROR,
        "rows": [
            {
                "row": k,
                "stages": [asdict(stage) for stage in balance.stages],
                "quantities": {name: asdict(q) for name, q in balance.quantities.items()},
            }
            for k, balance in enumerate(prediction.balances)
        ],
    }


def best_row(balances: tuple[EnergyBalance, ...]) -> int:
    """Return the row that leaves most energy in the load."""
    return int(np.argmax([balance.value("energy_of_load") for balance in balances]))


def balance_words(prediction: Prediction, register: SpinRegister) -> list[str]:
    """Return the balance of the best row in sentences."""
    if prediction.balances is None:
        return []
    balance = prediction.balances[best_row(prediction.balances)]
    load = register.of_role("load")

    def shown(name: str) -> str:
        q = balance.quantities[name]
        return f"{q.value:.4g}" if q.value is not None else f"withheld ({q.reason})"

    return [
        (
            f"Predicted balance of the row that fills the {load.isotope} load most ({UNIT}): the "
            f"exchanges draw {shown('drawn_from_chargers')} from the chargers and give "
            f"{shown('gained_by_battery')} to the battery; it holds {shown('stored')} at the end "
            f"of the charging, loses {shown('lost_in_store')} while it stores, and gives "
            f"{shown('given_by_battery')}, of which {shown('delivered_to_load')} reach the load; "
            f"{shown('discharge_work')} is the work of the RF field (negative: taken up by it)."
        ),
        (
            f"Efficiencies there: charging {shown('charging_efficiency')}, storage "
            f"{shown('storage_efficiency')}, discharge {shown('discharge_efficiency')}, overall "
            f"{shown('overall_efficiency')}, ergotropy {shown('ergotropy_efficiency')}. Exchange "
            "conserves spin and not energy: no exchange can do better than the ratio of the "
            f"Larmor frequencies, {energy_scale(register, 'load'):.4g} from battery to load."
        ),
    ]


def balance_section(plan: Plan, prediction: Prediction) -> str:
    """Return the section of report.html; empty where no load takes part."""
    balances = prediction.balances
    if balances is None:
        return ""
    row = best_row(balances)
    sweep = plan.protocol.sweep
    picture = Figure(figsize=(7.5, 3.6 if sweep is None else 6.6), layout="constrained")
    axes = picture.subplots(1 if sweep is None else 2, 1, squeeze=False)[:, 0]
    draw_flow(_values(balances[row]), axes[0], UNIT)
    where = "The only row."
    if sweep is not None:
        name = f"{plan.protocol.axis_name()} ({sweep.unit})" if sweep.unit else sweep.key
        draw_energies(sweep.values, [_values(b) for b in balances], axes[1], name, UNIT)
        where = f"Above, the row with {sweep.key} = {sweep.values[row]:g} {sweep.unit}".rstrip()
        where += ", which fills the load most; below, every row."
    caption = (
        f"Energies from the identity level in {UNIT}, all spins of a role in one molecule. {where} "
        "Bars: what the exchanges move, what the battery holds, what the lattice takes, and what "
        "the RF field gives (below zero: takes up)."
    )
    return "".join(
        [
            "<h2>Energy balance</h2>\n",
            html.figure(picture, caption),
            _stage_table(balances[row]),
            "<p></p>",
            _quantity_table(balances[row]),
            html.paragraph(
                f"No standard errors: {_NO_ERROR}. T2 is no loss of energy to the lattice: what it "
                "takes from an exchange shows in the work of the pulses."
            ),
        ]
    )


def _values(balance: EnergyBalance) -> dict[str, float]:
    return {
        name: q.value
        for name, q in balance.quantities.items()
        if q.unit == UNIT and q.value is not None
    }


def _stage_table(balance: EnergyBalance) -> str:
    rows = []
    for stage in balance.stages:
        for role in ROLES:
            numbers = (
                stage.before[role],
                stage.by_exchange[role],
                stage.by_pulses[role],
                stage.by_relaxation[role],
                stage.after[role],
            )
            cells = [html.number(n if abs(n) > 1e-12 else 0.0, 5) for n in numbers]
            rows.append([html.text(stage.name), html.text(role), *cells])
    head = ["stage", "spins", "before", "exchange", "other pulses", "relaxation", "after"]
    return html.table(head, rows)


def _quantity_table(balance: EnergyBalance) -> str:
    rows = [
        [
            html.text(name.replace("_", " ")),
            html.number(q.value, 5),
            html.text(q.unit),
            html.text(q.definition if q.reason is None else f"{q.definition}: {q.reason}"),
        ]
        for name, q in balance.quantities.items()
    ]
    return html.table(["quantity", "predicted", "unit", "definition"], rows)
