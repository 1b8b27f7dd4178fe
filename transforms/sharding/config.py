"""How a model is split into shards."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.runtime.flink_key_groups import KEY_GROUPS


@dataclass(frozen=True)
class Sharding:
    """How many model shards there are: one for each pair of a user shard and an item shard.

    User shards are models apart: users of different shards do not learn from each other. The
    item shards of a user shard split its items, and their recommendations are merged.

    Attributes:
        user_shards: Number of user shards.
        item_shards: Number of item shards of each user shard.
        key_groups: Flink's maximum parallelism, over which model shards are spread evenly.
    """

    user_shards: int = 1
    item_shards: int = 1
    key_groups: int = KEY_GROUPS

    def __post_init__(self) -> None:
        """Raises ValueError for a number below 1."""
        for name in ("user_shards", "item_shards", "key_groups"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} is {value}, expected 1 or more"
                raise ValueError(msg)

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of user shards and of item shards."""
        return self.user_shards, self.item_shards
