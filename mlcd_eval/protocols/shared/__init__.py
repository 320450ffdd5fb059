"""Functions that several protocols use."""
