"""One module per kind of model, with `load(spec: Spec) -> Encoder`; kinds.py has the rows."""
