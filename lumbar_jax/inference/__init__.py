"""Applying a trained run to studies: formats in, segmentation, formats out."""
