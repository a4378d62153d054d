"""The tests. What they share with the command is in `rope_parity`."""
