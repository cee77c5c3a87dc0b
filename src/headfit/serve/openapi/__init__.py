"""The OpenAPI description of the server: every address, with examples."""

from __future__ import annotations
