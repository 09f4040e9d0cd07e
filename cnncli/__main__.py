"""`python -m cnncli`."""

from cnncli.cli import main

main(prog_name="cnncli")
