"""Entry point of `cnncli` and `python -m cnncli`: sets up signals and streams before anything else is loaded."""

from cnncli.system import signals

signals.install()  # before anything else is loaded


def main() -> None:
    """Run the command line."""
    import gc
    import warnings

    gc.set_threshold(100_000)  # nearly all objects of a start stay alive: searching them for garbage takes 3 % of it
    from cnncli.system import streams

    streams.prepare()
    from cnncli.cli import main

    # Numba ignores invalid settings with a long warning; as an error, it is reported in one line.
    warnings.filterwarnings("error", module=r"numba\.core\.config")
    warnings.filterwarnings(
        "ignore", module=r"numba\.np\.ufunc\.parallel"
    )  # of a lock for forks, where /dev/shm is none
    main(prog_name="cnncli")


if __name__ == "__main__":
    main()
