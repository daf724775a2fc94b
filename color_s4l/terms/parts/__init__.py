"""The pieces that several terms are made of."""
