# syntax=docker/dockerfile:1
# The app with a trained model inside. After `make answer` (or `make train`):
#   docker build -t tweet-target .                              for CPUs
#   docker build -t tweet-target:gpu --build-arg DEVICE=gpu .   for NVIDIA GPUs; run it with --gpus all
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8501:8501 tweet-target
ARG PYTHON=3.11.13
ARG DEVICE=cpu

# ------------------------------------------------------------ the packages, without what installs them
FROM python:${PYTHON}-slim-bookworm AS packages-cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements-serve.lock ./
# Nothing of the environment writes bytecode later: the root may be read-only.
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-deps --require-hashes -r requirements-serve.lock \
 && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib

FROM packages-cpu AS packages-gpu
COPY requirements.lock requirements-gpu.lock ./
# The same release of TensorFlow, built for GPUs, and NVIDIA's libraries; every hash is still checked.
RUN awk '/^tensorflow==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock > tensorflow.lock \
 && python -m pip --python /opt/venv/bin/python uninstall --yes tensorflow-cpu \
 && python -m pip --python /opt/venv/bin/python install --no-deps --require-hashes -r tensorflow.lock \
 && python -m pip --python /opt/venv/bin/python install --no-deps --require-hashes -r requirements-gpu.lock

# hadolint ignore=DL3006
FROM packages-${DEVICE} AS packages
# C++ headers, nearly 300 MB of them: nothing is compiled here.
RUN find /opt/venv/lib -type d -path '*/site-packages/*/include' -prune -exec rm -r {} +

# ------------------------------------------------------------ the image
FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="Tweet Target" \
      org.opencontainers.image.description="What emotion is directed towards which product?" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY pyproject.toml ./
COPY data ./data
COPY tf_model ./tf_model
COPY streamlit_app ./streamlit_app
COPY saved_models ./saved_models
# The only place in the app's folder that is written to: what is monitored. Mount a volume there to keep it.
RUN install -d -o 10001 -g 10001 saved_models/.monitor && /opt/venv/bin/python -m compileall -q tf_model streamlit_app
# The home folder is /tmp because a read-only root has no other place that can be written to.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TWEETS_OFFLINE=1
USER 10001
VOLUME /app/saved_models/.monitor
EXPOSE 8501 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit_app", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true", "--server.fileWatcherType=none"]
