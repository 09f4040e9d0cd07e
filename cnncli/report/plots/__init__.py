"""What there is to plot of specs, runs, models and evaluations, as figures of `report/pictures`."""
