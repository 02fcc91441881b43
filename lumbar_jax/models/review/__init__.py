"""The twelve networks of paper 002, as their public implementations have them.

`table.py` lists them, a row each; `layers.py` is what they share.
"""
