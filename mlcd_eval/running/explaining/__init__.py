"""A record's task measured in other dialects, from the features that are kept."""
