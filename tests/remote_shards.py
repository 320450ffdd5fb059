"""Where the server of tests keeps shards as a hub does."""

HUB_REPOSITORY = "/datasets/org/wds_pets"
