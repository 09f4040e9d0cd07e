"""The layer diagram of a model: as data (`diagram.py`, from a model by `from_model.py`), as text, and as a drawing."""
