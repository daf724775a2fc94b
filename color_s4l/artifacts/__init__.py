"""A classifier's files: what stands in them is checked before anything is built."""
