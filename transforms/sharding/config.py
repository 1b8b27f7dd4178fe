"""How a model is split into shards."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.runtime.flink_key_groups import KEY_GROUPS


@dataclass(frozen=True)
class Sharding:
    """How many model shards there are: item shards or replicas of each user shard.

    User shards are models apart: users of different shards do not learn from each other. The
    item shards of a user shard split its items, and their recommendations are merged. Its
    replicas learn the same ratings, and each recommends to its share of the users.

    Attributes:
        user_shards: Number of user shards.
        item_shards: Number of item shards of each user shard.
        replicas: Number of replicas of each user shard; 1 where items are sharded.
        key_groups: Flink's maximum parallelism, over which model shards are spread evenly.
    """

    user_shards: int = 1
    item_shards: int = 1
    replicas: int = 1
    key_groups: int = KEY_GROUPS

    def __post_init__(self) -> None:
        """Raises ValueError for a number below 1, or for both item shards and replicas."""
        for name in ("user_shards", "item_shards", "replicas", "key_groups"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} is {value}, expected 1 or more"
                raise ValueError(msg)
        if self.item_shards > 1 and self.replicas > 1:
            msg = (
                f"item_shards is {self.item_shards} and replicas is {self.replicas}, expected 1 of"
                " either"
            )
            raise ValueError(msg)

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of user shards and of item shards, which replicas do not change."""
        return self.user_shards, self.item_shards
