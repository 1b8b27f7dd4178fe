"""Benchmarks: one script for each question; see README.md."""
