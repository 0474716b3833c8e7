"""`python -m csd`."""

from csd.cli import main

if __name__ == "__main__":
    main()
