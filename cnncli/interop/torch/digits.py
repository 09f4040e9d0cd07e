"""The network of configs/mnist.yaml, trained with PyTorch like cnncli trains it, except for the augmentation. A script
that imports no cnncli, to measure a whole process.

2 epochs of 3,600 random digits in batches of 128, stored as uint8 and divided by 255 per batch.
"""

import torch
from torch import nn

EPOCHS, COUNT, BATCH, CLASSES = 2, 3600, 128, 10


def main() -> None:
    """Train with PyTorch's defaults, except for the memory format: channels_last is faster."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(64 * 5 * 5, 128), nn.ReLU(), nn.Linear(128, CLASSES)),
    ).to(memory_format=torch.channels_last)
    loss, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(network.parameters())
    digits = torch.randint(256, (COUNT, 1, 28, 28), dtype=torch.uint8)
    labels = torch.randint(CLASSES, (COUNT,))
    for _ in range(EPOCHS):
        for rows in torch.randperm(COUNT).split(BATCH):
            x = digits[rows].to(torch.float32, memory_format=torch.channels_last) / 255
            optimizer.zero_grad()
            loss(network(x), labels[rows]).backward()
            optimizer.step()


if __name__ == "__main__":
    main()
