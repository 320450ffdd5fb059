"""Referring-expression segmentation."""
