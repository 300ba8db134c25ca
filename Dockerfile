# The course in a container: docker build -t video-on-the-mesh . && docker run --rm -p 8888:8888 video-on-the-mesh
# Every step is also run in a bare Debian root, without Docker, by tools/bare_root.py: keep to what it knows.
# The tag stands for any Python 3.12 on Debian 12. Where builds must repeat to the byte, pin it by digest:
#   docker build --build-arg BASE=python:3.12-slim-bookworm@sha256:... .
ARG BASE=python:3.12-slim-bookworm
FROM ${BASE}

RUN apt-get update && apt-get install -y --no-install-recommends git make libatomic1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 learner && install -d -o learner -g learner /course
USER learner
WORKDIR /course

# What takes long comes first and changes rarely: the packages that uv.lock names.
COPY --chown=learner:learner pyproject.toml uv.lock .python-version README.md /course/
COPY --chown=learner:learner tools/setup.sh /course/tools/setup.sh
COPY --chown=learner:learner helpers /course/helpers
COPY --chown=learner:learner training /course/training
COPY --chown=learner:learner ttnn_emulator /course/ttnn_emulator
RUN tools/setup.sh && rm -rf /home/learner/.cache/uv

COPY --chown=learner:learner . /course/
# Kernels are compiled and fonts found here, so that the first notebook opens its mesh in a second.
RUN .venv/bin/python -m ttnn_emulator doctor && .venv/bin/python -c "import matplotlib.pyplot"

EXPOSE 8888
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD .venv/bin/python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8888/api')"
CMD [".venv/bin/python", "-m", "tools.lab", "--ip=0.0.0.0", "--no-browser"]
