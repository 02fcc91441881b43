"""What the software costs: time and memory, beside PyTorch on the same work."""
