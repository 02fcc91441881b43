"""From patch scores to metrics: reconstruction, labelling, statistics."""
