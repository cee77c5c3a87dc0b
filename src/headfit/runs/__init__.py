"""One module for each stage of a run, and the two that wire them: compare and rank."""
