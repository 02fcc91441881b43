"""Lumbar spine MRI segmentation in JAX: train, ensemble, evaluate, apply."""

__version__ = "0.1.0"
