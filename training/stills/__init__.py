"""Miniatures that start from still pictures: tiny-sd3, and the frame autoencoder and latents it shares."""
