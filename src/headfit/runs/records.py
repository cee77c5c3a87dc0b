"""Records as a table of pandas, where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def data_frame(records: list[dict[str, Any]], index: str) -> pd.DataFrame:
    """Make a ``pandas.DataFrame`` of records.

    Args:
        records: with the same keys, which become columns.
        index: the key that becomes the index.

    Raises:
        UsageError: if pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415  (optional)
    except ImportError:
        raise UsageError(
            "to_pandas() needs pandas, which is not installed. Run: pip install 'headfit[pandas]', "
            "or use table(), which gives a list of records."
        ) from None
    return pd.DataFrame(records).set_index(index)
