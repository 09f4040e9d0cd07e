"""The report of runs: one HTML page that needs nothing else.

`Trained` (trained.py) is what is known of a run. `make.py` makes the page's record of it, plain data (page.py), which
`render.py` writes as HTML by the templates.
"""
