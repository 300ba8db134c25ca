"""Video frame by frame: still pictures by Stable Diffusion 3 in ttnn, on one chip or two, and what sets them in motion.

transformer.py  the denoiser, MMDiT
vae.py          the decoder
stills.py       from a sentence to a picture
story.py        from a list of sentences to a film
motion.py       pan, zoom and fades over stills

motion_module.py  what ties frames together: AnimateDiff's motion module
animate.py        from a sentence to a clip, by AnimateDiff
"""
