"""The error budget of a measured polarisation as a table."""

from __future__ import annotations

import numpy as np

from nmrqb.analysis.budget import ErrorBudget
from nmrqb.report import html


def budget_table(budget: ErrorBudget) -> str:
    """Return the budget of the row with the largest polarisation: error and share by source."""
    row = int(np.argmax(np.abs(budget.values)))
    total = float(budget.covariance[row, row])
    rows = []
    for source in budget.sources:
        error = float(budget.stderr(source)[row])
        share = error**2 / total if total > 0.0 else 0.0
        rows.append(
            [
                html.text(source.name),
                html.number(error, 2),
                f"{100.0 * share:.1f} %",
                "each row's own" if source.own is not None else "common to all rows",
                html.text(source.reason or ""),
            ]
        )
    rows.append(["<b>total</b>", html.number(float(np.sqrt(total)), 2), "100 %", "", ""])
    head = ["source", "std. error of r_z (eps)", "share of the variance", "", "note"]
    words = (
        f"Error budget of the row with the largest polarisation, r_z = {budget.values[row]:.4g} "
        "(energy label); result.json holds all rows."
    )
    return html.paragraph(words) + html.table(head, rows)
