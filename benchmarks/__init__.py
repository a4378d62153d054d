"""Speed, side by side in one process."""
