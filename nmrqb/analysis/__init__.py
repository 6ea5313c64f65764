"""From FIDs to numbers: line shapes, series fits, curve fits, calibration, comparison."""
