"""What a run reads before it computes anything: images, weights, labels."""
