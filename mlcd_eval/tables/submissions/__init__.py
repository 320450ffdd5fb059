"""What other leaderboards and registries accept, written from records."""
