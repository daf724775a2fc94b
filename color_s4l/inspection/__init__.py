"""What the library sees of a data set, before anything is trained."""
