"""Records as a site: of static files, or served while they arrive."""
