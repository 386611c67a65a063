"""Whole explorations: fingerprints, skipping what was explored, parallel workers."""
