"""From references to batches: shards, their order, decoding, and the processes that do it."""
