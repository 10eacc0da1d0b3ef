"""What a name becomes: a network with verified weights, one copy per process."""
