"""The organism of text-to-image attacks and defenses: a tiny latent diffusion model of pictogram scenes."""
