"""The commands of `rope-parity`; each imports what it needs when it is called."""
