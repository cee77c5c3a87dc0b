"""``python -m headfit`` is ``headfit``."""

from headfit.cli.main import run

if __name__ == "__main__":
    run()
