"""Views: preprocessing, augmentation, proxy views and strong views of images."""
