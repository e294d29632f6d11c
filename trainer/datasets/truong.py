"""The walks of Truong et al. (IPOL 9, 2019): two feet, 100 Hz, stand, walk, turn, walk back, stand; gravity removed.

A folder goes in, in either layout: packed (``signals.npz`` and ``trials.csv``) or as published (one CSV and one JSON a
trial). People with a gait-speed class come out, their walks cut to ``[walk_start, walk_end)``, both feet of every
trial. The class is by the median of a person's mean speeds; it says how fast somebody walked, never how frail one is.
"""
