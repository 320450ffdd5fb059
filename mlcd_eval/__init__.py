"""Evaluation and benchmark harness for pretrained vision encoders."""
