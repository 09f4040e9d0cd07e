"""The command `cnncli`, and `python -m cnncli`: signals and streams are seen to before all else is loaded."""

from cnncli.system import signals

signals.install()  # here, where nothing else is loaded yet


def main() -> None:
    """Run the command line."""
    import warnings

    from cnncli.system import streams

    streams.prepare()
    from cnncli.cli import main

    # Numba goes on without a setting that it can't use, after many lines of its own: as an error it is told in one.
    warnings.filterwarnings("error", module=r"numba\.core\.config")
    warnings.filterwarnings(
        "ignore", module=r"numba\.np\.ufunc\.parallel"
    )  # of a lock for forks, where /dev/shm is none
    main(prog_name="cnncli")


if __name__ == "__main__":
    main()
