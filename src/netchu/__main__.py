"""`python -m netchu` is the command `netchu`."""

from netchu.cli.app import main

if __name__ == "__main__":
    main()
