"""What the outputs of a model mean. A loss declares it; everything else asks (`Loss.meaning`)."""

from enum import Enum


class Meaning(Enum):
    """One way to read outputs; where there is but one output for two classes, it is the probability of the second."""

    CLASSES = "one of several classes: probabilities with a sum of 1"
    CHOICE = "yes or no: one probability"
    LABELS = "several labels at once: a probability for each"
    NUMBERS = "numbers"
    MASK = "a class for each pixel"
    IMAGE = "the image again"

    @property
    def probabilities(self) -> bool:
        """Whether outputs, and so their targets, lie between 0 and 1."""
        return self in (Meaning.CLASSES, Meaning.CHOICE, Meaning.LABELS)
