"""Mochi-1 in ttnn: text encoder, video transformer, VAE decoder, and the pipeline that joins them.

t5.py           the text encoder
attention.py    joint attention, and ring attention over sp
transformer.py  the denoiser, AsymmDiT
vae.py          the decoder
parts.py        the three on one mesh, and which makes room for the next
pipeline.py     from a sentence to frames
upstream.py     the same by tt-metal's own pipeline, out of a checkout
ways.py         where else it can run, and what is missing here
__main__.py     the command: python -m helpers.mochi "a red ball bouncing left"
"""
