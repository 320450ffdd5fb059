"""Protocols on regions of images: what the patches under a box or a mask say."""
