"""How an encoder is scored."""
