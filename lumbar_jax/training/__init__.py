"""Training of one fold: pure steps, losses, optimizers, checkpoints, loop."""
