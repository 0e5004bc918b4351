"""One captured step, one program over planned memory, and the trial that trusts nothing."""
