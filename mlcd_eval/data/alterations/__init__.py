"""Images altered before a model sees them: ImageNet-C's corruptions and small changes that should not matter."""
