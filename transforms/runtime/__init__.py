"""What acts on a whole process or runner: Flink, FnApiRunner, garbage collection, BLAS threads.

No ratings, models or Kafka here.
"""
