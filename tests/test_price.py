"""The price of a point: scans that give the error that was asked for, and how they grow."""

from dataclasses import replace

import numpy as np
import pytest
from star_registers import star

from nmrqb.models.price import pseudo_pure_price, thermal_price

SNR = 200.0


def many_batteries(count):
    return star(count, battery="1H", charger="31P", central="charger", t2_battery_s=2.0)


def scatter(register, scans, is_pure, rng):
    """Standard deviation of the measured energy over its span, from noisy scans."""
    ratio, amplitude = register.equilibrium_ratio, register.pseudo_pure_amplitude
    r_z, sigma, runs = 0.3, 1.0, 4000
    height = SNR * sigma  # of the thermal reference, polarisation `ratio`
    if is_pure:
        half = scans // 2
        prepared = height * amplitude * r_z / ratio
        total = half * prepared + sigma * np.sqrt(half) * rng.normal(size=runs)
        empty = sigma * np.sqrt(half) * rng.normal(size=runs)
        found = (total - empty) / half * ratio / (height * amplitude)
    else:
        noise = sigma * np.sqrt(scans) * rng.normal(size=runs)
        found = (scans * height * r_z / ratio + noise) / scans * ratio / height
    assert found.mean() == pytest.approx(r_z, abs=5 * found.std() / np.sqrt(runs))
    return float(found.std()) / 2.0


@pytest.mark.parametrize("is_pure", [False, True])
def test_scans_of_the_price_give_the_error_that_was_asked_for(is_pure):
    register = many_batteries(3)
    price = (pseudo_pure_price if is_pure else thermal_price)(
        register, charging_s=0.1, error=0.001, reference_snr=SNR
    )
    assert price.scans > 20  # rounding up is below 5 % of it
    # 4000 runs know a standard deviation to 1.1 %
    assert scatter(register, price.scans, is_pure, np.random.default_rng(5)) == pytest.approx(
        0.001, rel=0.05
    )


def test_a_pseudo_pure_start_costs_four_times_more_for_every_battery():
    scans = [
        pseudo_pure_price(many_batteries(n), charging_s=0.0, error=0.01, reference_snr=50.0).scans
        for n in range(4, 12)
    ]
    ratio = np.array(scans[1:]) / scans[:-1]
    # a = (N p + 1)/(2^(N+1) - 1): its numerator grows with N
    assert (ratio < 4.0).all()
    assert (np.diff(ratio) > 0.0).all()
    assert ratio[-1] == pytest.approx(4.0 * (10.0 / 11.0) ** 2, rel=0.02)


def test_a_pseudo_pure_start_costs_four_over_the_square_of_its_amplitude():
    register = many_batteries(6)
    wanted = {"charging_s": 0.0, "error": 1e-4, "reference_snr": SNR}
    ratio = pseudo_pure_price(register, **wanted).scans / thermal_price(register, **wanted).scans
    assert ratio == pytest.approx(4.0 / register.pseudo_pure_amplitude**2, rel=1e-3)


def test_every_scan_waits_for_the_slowest_spin():
    register = star(3)
    price = thermal_price(register, charging_s=30.0, error=0.01, reference_snr=10.0)
    assert price.scan_s == pytest.approx(5 * 115.4 + 30.0)
    assert price.minutes == pytest.approx(price.scans * price.scan_s / 60.0)
    slow_charger = replace(
        register, satellite=replace(register.satellite, t1_s=register.center.t1_s)
    )
    assert thermal_price(
        slow_charger, charging_s=30.0, error=0.01, reference_snr=10.0
    ).scan_s == pytest.approx(5 * 115.4 + 30.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"error": 0.0}, "`error` must lie between 0 and 1"),
        ({"charging_s": -1.0}, "`charging_s` must be at least 0 s"),
        ({"reference_snr": 0.0}, "`reference_snr` must be positive"),
    ],
)
def test_senseless_prices_are_refused(changed, message):
    wanted = {"charging_s": 0.0, "error": 0.01, "reference_snr": 10.0} | changed
    with pytest.raises(ValueError, match=message):
        pseudo_pure_price(star(3), **wanted)
