"""How good each model is on a stream: protocols, figures with confidence intervals, outside peers.

`python -m benchmarks.quality` runs it. Records are read by the program's own readers; what is
measured is what the pipeline runs for each positive, without Beam around it.
"""
