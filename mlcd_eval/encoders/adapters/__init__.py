"""One module for each kind of model, with load(spec) -> Encoder."""
