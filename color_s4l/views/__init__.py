"""What is done to images: preprocessing, augmentation, and the proxy views."""
