"""`hf:ORG/NAME`, `hf:PATH`: the image towers of transformers, with their text towers, from a hub or a folder."""
