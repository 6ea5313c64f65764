"""Protocols written as files read back to the same protocols."""

import dataclasses

import pytest
from hypothesis import given, settings
from legal_protocols import charging_plans

from nmrqb.files.protocol_text import protocol_text
from nmrqb.files.shipped import shipped_names
from nmrqb.files.toml import read_protocol


@pytest.mark.parametrize("name", shipped_names("protocol"))
def test_every_shipped_protocol_reads_back(name, tmp_path):
    protocol = read_protocol(name)
    path = tmp_path / "written.toml"
    path.write_text(protocol_text(protocol), encoding="utf-8")
    assert read_protocol(path) == protocol


@settings(max_examples=50, deadline=None)
@given(charging_plans())
def test_random_protocols_read_back_to_the_last_digit(tmp_path_factory, plan):
    if plan is None:
        return
    protocol = dataclasses.replace(plan.protocol, register="ttss", spectrometer="generic")
    path = tmp_path_factory.mktemp("protocol") / "written.toml"
    path.write_text(protocol_text(protocol), encoding="utf-8")
    assert read_protocol(path) == protocol


def test_text_of_users_cannot_end_a_string(tmp_path):
    protocol = dataclasses.replace(
        read_protocol("asymptotic_ttss"), name='a "b"', description='x"\n[sweep]\nkey = "cycles'
    )
    path = tmp_path / "written.toml"
    path.write_text(protocol_text(protocol), encoding="utf-8")
    assert read_protocol(path) == protocol
