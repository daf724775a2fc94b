"""What is done to features: inside the trunk, and after it."""
