"""A sequence drawn to scale: within a stretch between breaks lengths are true to one scale."""

import pytest
from exports import compiled, exportable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nmrqb.files.shipped import shipped_names
from nmrqb.report.sequence_to_scale import draw_sequence_to_scale, sequence_pictures
from nmrqb.sequence.events import Acquire, Delay, Loop, Pulse, PulseSequence


def drawn(sequence):
    ax = Figure(figsize=(11.0, 3.4), layout="constrained").add_subplot()
    draw_sequence_to_scale(sequence, ax)
    ax.figure.canvas.draw()
    return ax


def blocks(ax):
    return sorted((p for p in ax.patches if isinstance(p, Rectangle)), key=lambda p: p.get_x())


def words(ax):
    return [text.get_text() for text in ax.texts]


def of(*events):
    return PulseSequence(tick_s=1e-6, events=events)


def pulse(ticks):
    return Pulse(nucleus="1H", ticks=ticks, angle_rad=1.0)


def test_lengths_and_distances_are_true_to_scale():
    ax = drawn(of(pulse(10), Delay(ticks=70), pulse(20), Delay(ticks=5)))
    first, second = blocks(ax)
    assert first.get_width() == pytest.approx(10.0)
    assert second.get_width() == pytest.approx(20.0)
    assert second.get_x() - first.get_x() == pytest.approx(80.0)


def test_a_wait_a_million_times_longer_is_broken_and_says_how_long_it_is():
    ax = drawn(
        of(Delay(ticks=10_000_000, label="relaxation"), pulse(10), Delay(ticks=90), pulse(10))
    )
    first, second = blocks(ax)
    assert second.get_x() - first.get_x() == pytest.approx(100.0)
    assert first.get_x() < 100.0  # the 10 s before it take less room than the 110 us after it
    assert "10 s\nrelaxation" in words(ax)


def test_a_loop_is_drawn_once_with_its_count():
    body = (pulse(10), Delay(ticks=30))
    ax = drawn(of(Loop(count=7, body=body), Loop(count=0, body=(pulse(99),)), pulse(10)))
    assert len(blocks(ax)) == 2
    assert "x 7" in words(ax)


def test_the_bar_is_as_long_as_it_says():
    ax = drawn(of(pulse(10), Delay(ticks=990), Acquire(nucleus="1H", points=64, dwell_ticks=10)))
    bar = next(line for line in ax.lines if line.get_linewidth() == 2.0)
    begin, end = bar.get_xdata()
    assert end - begin == pytest.approx(100.0)
    assert "100 us" in words(ax)


@pytest.mark.parametrize("name", shipped_names("protocol"))
def test_every_shipped_sequence_has_a_picture_to_scale(name):
    ax = drawn(compiled(name)[0].sequences[-1])
    assert ax.has_data()
    assert "gradient" in words(ax)


def test_pictures_are_png_files():
    made = sequence_pictures(compiled(exportable()[0])[0].sequences[-1])
    assert list(made) == ["sequence_schematic.png", "sequence_to_scale.png"]
    assert all(raw.startswith(b"\x89PNG") for raw in made.values())
