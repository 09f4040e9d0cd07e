"""Pictures: figures as plain data, drawn as SVG, as PNG, or with characters in a terminal.

A figure (`figures.py`) holds data and nothing about its looks. `draw.py` turns it into a `Drawing`, a list of
primitives whose colors are roles; `svg.py` and `png.py` write drawings.
"""
