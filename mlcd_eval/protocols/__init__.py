"""Protocols: the ways of scoring an encoder."""
