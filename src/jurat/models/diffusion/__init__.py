"""Latent diffusion models of diffusers; needs the extra `diffusion`."""
