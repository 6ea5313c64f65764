"""Nuclei and registers: sourced numbers, signs, roles."""

import dataclasses
import tomllib

import pytest

from nmrqb import read_register, read_spectrometer
from nmrqb.files.shipped import shipped_folder, shipped_names
from nmrqb.spins.nuclei import NUCLEI, nucleus


def test_signs_of_gamma():
    assert {n for n, x in NUCLEI.items() if x.sign < 0} == {"15N", "29Si"}


@pytest.mark.parametrize(
    ("isotope", "gamma"),
    # magnetogyric ratios of IUPAC 2001, 10^7 rad/s/T: unshielded nuclei, so equal to Xi's ratios
    # only within chemical shifts (1e-3)
    [("1H", 26.7522128), ("13C", 6.728284), ("15N", -2.71261804), ("19F", 25.18148),
     ("29Si", -5.3190), ("31P", 10.8394)],
)  # fmt: skip
def test_frequency_ratios_agree_with_magnetogyric_ratios(isotope, gamma):
    assert nucleus(isotope).gamma_rad_per_s_tesla == pytest.approx(gamma * 1e7, rel=1.5e-3)


@pytest.mark.parametrize(("mhz", "eps"), [(400, 3.221e-5), (500, 4.026e-5), (600, 4.831e-5)])
def test_thermal_polarisation_of_protons_at_298_kelvin(mhz, eps):
    proton = nucleus("1H")
    field = mhz * 1e6 / proton.larmor_hz(1.0)
    assert proton.thermal_polarisation(field, 298.0) == pytest.approx(eps, abs=5e-9)


def test_ttss_is_the_register_of_the_star_experiments():
    ttss = read_register("ttss")
    assert (ttss.center.isotope, ttss.satellite.isotope, ttss.satellites) == ("29Si", "1H", 36)
    assert ttss.charger.t1_s.value == 3.3
    assert ttss.battery.t1_s.value == 115.4
    assert "106, 042601" in ttss.battery.t1_s.source
    assert ttss.equilibrium_ratio == pytest.approx(0.1987, abs=5e-5)
    assert ttss.battery_equilibrium < 0 < ttss.charger_equilibrium
    assert not ttss.must_invert_chargers


def test_chloroform_needs_inverted_chargers():
    chloroform = read_register("chloroform_13c")
    assert chloroform.satellites == 1
    assert chloroform.must_invert_chargers
    assert chloroform.battery_equilibrium == pytest.approx(0.25145, abs=1e-5)


def test_a_central_charger_turns_the_roles_round():
    ttss = read_register("ttss")
    turned = dataclasses.replace(
        ttss,
        center=dataclasses.replace(ttss.center, role="charger"),
        satellite=dataclasses.replace(ttss.satellite, role="battery"),
    )
    assert turned.battery.isotope == "1H"
    # in units of the 29Si chargers' polarisation
    assert turned.equilibrium_ratio == pytest.approx(1 / 0.19867, rel=1e-4)
    assert turned.charger_equilibrium == -1.0


@pytest.mark.parametrize("name", shipped_names("register"))
def test_every_number_of_a_shipped_register_is_sourced_or_nominal(name):
    table = tomllib.loads((shipped_folder("register") / f"{name}.toml").read_text())
    read_register(name)
    measured = [table["coupling"], table["field"], table["temperature"]]
    for place in ("center", "satellite"):
        measured += [table[place][key] for key in ("t1", "t2", "t2_star")]
    for entry in measured:
        assert ("source" in entry) != entry.get("nominal", False)


@pytest.mark.parametrize("name", shipped_names("spectrometer"))
def test_every_shipped_spectrometer_prints_its_channels(name):
    assert "90 degrees" in str(read_spectrometer(name))


def test_an_unknown_species_is_refused():
    with pytest.raises(ValueError, match="29Si, 1H"):
        read_register("ttss").species("13C")
