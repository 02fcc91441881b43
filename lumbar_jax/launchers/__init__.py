"""Many jobs of one command: sweeps submitted to a cluster, and their status."""

LAUNCHERS = ("slurm", "local", "status")
