"""Layouts of datasets: a list of recognizers, one file per family."""
