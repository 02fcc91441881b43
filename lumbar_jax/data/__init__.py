"""From files to batches: sources, volumes, registration, patches, grain."""
