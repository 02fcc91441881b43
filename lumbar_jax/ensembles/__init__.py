"""Several trained networks as one: averaging and stacking."""
