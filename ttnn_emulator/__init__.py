"""Makes the real ttnn work on a machine without chips.

cluster.py     the machine: a descriptor from which ttnn's mock cluster believes in chips
toolchain.py   the compiler: null kernels where the real one is missing, and the cache folder
memory.py      the values: what each chip holds behind every live device buffer
golden.py      the arithmetic: every ttnn call's meaning in torch, chip by chip
transfers.py   host to device and back
exchange.py    ops in which chips exchange data
ops.py         golden functions that ttnn does not carry itself
"""
