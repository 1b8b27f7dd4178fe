"""What recommenders store: ids, rows that grow, counts, features, eviction. No equations."""
