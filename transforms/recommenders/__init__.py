"""Recommenders: string ids in, top-N out. Plain Python and numpy; no Beam, no Kafka."""
