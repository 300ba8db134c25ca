"""Mochi-1 in ttnn: text encoder, video transformer, VAE decoder, and the pipeline that joins them.

weights.py      reads diffusers folders, one tensor at a time, and says what is wrong with them
layers.py       linear layers split over the mesh, and norms
t5.py           the text encoder
transformer.py  the denoiser, AsymmDiT
vae.py          the decoder
pipeline.py     from a sentence to frames
upstream.py     the same by tt-metal's own pipeline, where there are chips and a checkout
ways.py         where else it can run, and what is missing here
__main__.py     the command: python -m helpers.mochi "a red ball bouncing left"
"""
