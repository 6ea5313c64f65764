"""Rows of a sweep brought into one shape: what some rows lack becomes a loop that runs 0 times."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from nmrqb.sequence.events import Event, Loop

Events = tuple[Event, ...]


def with_one_loop(rows: dict[int, Events]) -> dict[int, Events]:
    """Return the rows of a sweep of the cycles in the shape of the longest one.

    Where a row has no loop, or not the repetition that precedes it, it gets one that runs 0 times.
    Rows that do not fit stay as they are.
    """
    longest = max(rows.values(), key=lambda e: (len(e), _ticks(e)))
    loops = [k for k, e in enumerate(longest) if isinstance(e, Loop)]
    shortest = min(rows.values(), key=len)
    if loops:
        before, loop, after = longest[: loops[-1]], longest[loops[-1]], longest[loops[-1] + 1 :]
    else:
        extra = len(longest) - len(shortest)
        if not extra:
            return rows
        # dead time and acquisition are nobody's part
        start = min(_common(longest, shortest), len(shortest) - 2)
        before, after = longest[: start + extra], longest[start + extra :]
        loop = None
    split = min(len(before), len(shortest) - len(after))
    always, first = before[:split], before[split:]
    shaped = {}
    for k, events in rows.items():
        shaped[k] = _fitted(events, always, first, loop, after) or events
    return shaped


def _fitted(
    events: Events, always: Events, first: Events, loop: Event | None, after: Events
) -> Events | None:
    """Return events as always, loop of first, loop, after; None where they are not that."""
    end = len(events) - len(after)
    if events[: len(always)] != always or events[end:] != after:
        return None
    middle = events[len(always) : end]
    has_first = bool(first) and middle[: len(first)] == first
    rest = middle[len(first) :] if has_first else middle
    count = 0
    if rest:
        only = rest[0]
        if not (
            len(rest) == 1
            and isinstance(only, Loop)
            and isinstance(loop, Loop)
            and only.body == loop.body
        ):
            return None
        count = only.count
    shaped = [*always]
    if first:
        shaped.append(Loop(count=int(has_first), body=first))
    if isinstance(loop, Loop):
        shaped.append(replace(loop, count=count))
    return (*shaped, *after)


def _common(a: Events, b: Events) -> int:
    """Return how many events two rows begin with in common."""
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    return same


def _ticks(events: Events) -> int:
    return sum(e.ticks for e in events)


def with_optional_part(
    rows: dict[int, Events], form: Callable[[Event], Hashable]
) -> dict[int, Events]:
    """Return rows of two shapes, of which one lacks a part, in one: the part may run 0 times.

    A swept delay or exchange of 0 s is such a part.  Rows that do not fit stay as they are.
    """
    shapes: dict[Hashable, list[int]] = {}
    for k, events in rows.items():
        shapes.setdefault(tuple(form(e) for e in events), []).append(k)
    if len(shapes) != 2:
        return rows
    long, short = sorted(shapes.values(), key=lambda members: -len(rows[members[0]]))
    whole, rest = rows[long[0]], rows[short[0]]
    extra = len(whole) - len(rest)
    forms, fewer = [form(e) for e in whole], [form(e) for e in rest]
    start = 0
    # dead time and acquisition are nobody's part
    while start < len(rest) - 2 and forms[start] == fewer[start]:
        start += 1
    if not extra or forms[start + extra :] != fewer[start:] or whole[-2:] != rest[-2:]:
        return rows
    part = slice(start, start + extra)
    shaped = dict(rows)
    for k in long:
        events = rows[k]
        shaped[k] = (*events[:start], Loop(count=1, body=events[part]), *events[part.stop :])
    for k in short:
        # the part that never runs has the lengths of another row
        events = rows[k]
        shaped[k] = (*events[:start], Loop(count=0, body=whole[part]), *events[start:])
    return shaped
