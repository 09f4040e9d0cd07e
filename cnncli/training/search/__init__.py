"""Search for good values of a spec's keys: the section `tune`, its parameters, and a study of Optuna."""
