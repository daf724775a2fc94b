"""Terms of later stages: they read what an earlier training or epoch has left."""
