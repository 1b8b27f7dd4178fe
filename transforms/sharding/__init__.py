"""Which model shard a user or an item belongs to, and merging what the item shards recommend.

No model and no input or output belongs here. `config`, `in_order`, `key_groups` and
`token_cache` do not import Beam.
"""
