"""How good the recommendations are: tests before each update, ranks, figures, Beam metrics.

An observer of learning: no model and no learning belongs here. Only `beam_metrics` imports Beam.
"""
