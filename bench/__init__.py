"""Measurements: one question a file, ratios within one run, reports in results/."""
