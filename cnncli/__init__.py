"""cnncli trains convolutional networks from one YAML file, on the CPU."""

__version__ = "0.1.0"
