"""`python -m netchu` is the command `netchu`."""

from netchu.cli.app import main

main()
