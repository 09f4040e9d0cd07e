"""docs/benchmarks.md, from its measurements to the page: `python -m cnncli.report.benchmarks docs`."""
