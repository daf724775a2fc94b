"""Several processes that train together have the result of one process."""
