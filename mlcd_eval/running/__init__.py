"""Carrying out a plan: models, data sets, executors; and scoring of saved predictions."""
