"""The losses: one entry of RULES each, defined on a row (`loss_rows`). `rule` says what an entry is made of."""

from cnncli.kernels.losses.cross_entropies import CROSS_ENTROPIES
from cnncli.kernels.losses.errors_of_numbers import ERRORS
from cnncli.kernels.losses.row_losses import ROW_LOSSES
from cnncli.kernels.losses.rule import Rule, of_elements, of_pair

__all__ = ["RULES", "Rule", "of_elements", "of_pair"]

RULES: dict[str, Rule] = {**CROSS_ENTROPIES, **ERRORS, **ROW_LOSSES}
