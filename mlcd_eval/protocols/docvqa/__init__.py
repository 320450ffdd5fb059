"""Questions about page images."""
