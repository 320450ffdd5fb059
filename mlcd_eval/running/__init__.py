"""Carrying out a plan, by model and data set or through an executor, and scoring saved predictions."""
