"""The command line: python -m cnnlib."""

from cnnlab.cli import cli

if __name__ == "__main__":
    cli(prog_name="python -m cnnlib")
