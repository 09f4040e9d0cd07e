"""Matrix products in registers, and dense layers."""
