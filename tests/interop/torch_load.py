"""PyTorch's side of test_export_torch: a script in PyTorch's own Python, which loads the exports in a folder.

NAME.npz beside the folder NAME has `x`, channels first: NAME.out.npz gets the output `y`. Training mode must work, too.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch


def main(folder):
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        spec = importlib.util.spec_from_file_location("model", path / "model.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        network = module.load()
        x = torch.from_numpy(np.load(path.with_suffix(".npz"))["x"])
        with torch.inference_mode():
            y = network(x).numpy()
        network.train()(torch.cat([x, x]) + 0.1).sum()
        np.savez(path.with_suffix(".out.npz"), y=y)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
