"""From a request to jobs: which tasks it names, where their data is, and what each of them needs."""
