"""Arrays in, records out: metrics, intervals, calibration, selective answers, paired tests, curves."""
