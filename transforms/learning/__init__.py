"""One model shard: learning, recommending, and surviving in state and in exports. No Beam."""
