"""From a request to jobs: which tasks, where their data is, what each of them needs."""
