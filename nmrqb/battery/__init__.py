"""What a battery stores: energy, ergotropy, charging times, the ChargingCurve."""
