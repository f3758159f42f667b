"""Raw astronomical frames in, calibration masters out."""
