"""The kinds of sensors: one file each, from what it advertises to what its bytes mean."""
