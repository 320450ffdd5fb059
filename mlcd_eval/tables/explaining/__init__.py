"""Why a record's number is not the published one: which dialect comes nearest, and what each of its factors adds."""
