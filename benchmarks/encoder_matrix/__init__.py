"""The matrix of docs/encoders.md: small models with random weights, each against its own library."""
