"""Datasets, one adapter a file; `open_dataset` finds the one that fits a folder."""
