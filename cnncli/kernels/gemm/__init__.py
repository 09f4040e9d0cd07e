"""Register-blocked matrix products, and dense layers."""
