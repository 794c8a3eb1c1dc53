"""Drills: what happens to wrong calls, damaged files and killed processes, counted.

`python -m drills` runs all of them and writes docs/reliability.md.
"""
