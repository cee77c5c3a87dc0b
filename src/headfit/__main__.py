"""``python -m headfit`` is ``headfit``."""

import os
import sys

if __name__ == "__main__":
    # Python puts the current folder first, where a keras.py may be anybody's
    here = os.getcwd()  # noqa: PTH109  (pathlib would be looked for there)
    if os.path.dirname(os.path.dirname(os.path.abspath(__file__))) != here:  # noqa: PTH100, PTH120
        sys.path[:] = [part for part in sys.path if part not in ("", here)]

    from headfit.cli.main import run

    run()
