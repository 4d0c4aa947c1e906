"""``python -m drrpack``."""

from drrpack.cli.main import main

if __name__ == "__main__":
    main()
