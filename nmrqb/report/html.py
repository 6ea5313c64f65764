"""Self-contained HTML: pictures inside, no script, nothing from the network, all text escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body{font-family:system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;font-size:.9rem}
td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;vertical-align:top}
th{background:#f3f3f3}img{max-width:100%}figure{margin:1rem 0}
figcaption{font-size:.85rem;color:#555}ul{line-height:1.5}
pre{background:#f6f6f6;padding:.6rem;overflow-x:auto;font-size:.8rem}
.ok{color:#00704f}.no{color:#b02a00}
"""


def text(value: object) -> str:
    """Return text with every special character escaped."""
    return html.escape(str(value))


def number(value: float | None, digits: int = 5) -> str:
    """Return a number for a table; a dash where there is none."""
    return "&ndash;" if value is None else f"{value:.{digits}g}"


def paragraph(words: object) -> str:
    """Return a paragraph."""
    return f"<p>{text(words)}</p>\n"


def listing(items: Sequence[object]) -> str:
    """Return a bulleted list."""
    return "<ul>" + "".join(f"<li>{text(i)}</li>" for i in items) + "</ul>\n"


def preformatted(words: object) -> str:
    """Return text as it is."""
    return f"<pre>{text(words)}</pre>\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are already HTML."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>\n" for row in rows)
    return f"<table><tr>{top}</tr>\n{body}</table>\n"


def figure(picture: Figure, caption: str) -> str:
    """Return a matplotlib figure as an inline picture with its caption."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{html.escape(caption, quote=True)}" '
        f'src="data:image/png;base64,{data}"><figcaption>{text(caption)}</figcaption></figure>\n'
    )


def page(title: str, body: Sequence[str]) -> str:
    """Return the whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{text(title)}</h1>\n" + "".join(body) + "</body></html>\n"
    )
