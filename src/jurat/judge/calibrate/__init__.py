"""Calibration of a judge: debiasing and thresholds fitted to a user's images, with labels or without."""
