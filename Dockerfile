# The API and the app with trained models inside. The light models answer, without TensorFlow. `make image` builds it;
# `make image-check` builds it on a base made by mmdebstrap and starts it. Building on Debian's base image below is not
# tested; its digest is the one that other projects publish for it.
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8501:8501 tweet-target
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 tweet-target python3 -m tf_model.api --host 0.0.0.0
ARG BASE=docker.io/library/debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132

# hadolint ignore=DL3006
FROM ${BASE} AS python
# hadolint ignore=DL3008
RUN dpkg --status python3 libstdc++6 > /dev/null || { apt-get update \
 && apt-get install --yes --no-install-recommends python3 libstdc++6 && rm -rf /var/lib/apt/lists/*; }
# In a folder not named site-packages, Streamlit takes itself for a development checkout. The home folder is /tmp
# because a read-only root has no other writable place.
ENV HOME=/tmp PYTHONPATH=/opt/site-packages PYTHONUNBUFFERED=1 TWEETS_OFFLINE=1
WORKDIR /app

# ------------------------------------------------------------ what the image holds, without unused files
FROM python AS built
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
COPY tf_model/serving/deploy/slim.sh /opt/
COPY build/packages /opt/site-packages
RUN /opt/slim.sh /opt/site-packages && find /opt/site-packages -type f -name '*.so*' -exec strip --strip-unneeded {} +
COPY data ./data
COPY tf_model ./tf_model
COPY streamlit_app ./streamlit_app
COPY saved_models ./saved_models
# The graphs are emptied, since only TensorFlow reads them, and keep the time at which they were saved; of a promoted
# model only the version in use stays. Every page is drawn once, so that the image holds the bytecode of the modules
# that are loaded, and of no others: it cannot be written later. The image's user may read all, whatever the umask was.
RUN find saved_models -name saved_model.pb -exec sh -c 'for each do touch -r "$each" /tmp/saved \
    && truncate --size 0 "$each" && touch -r /tmp/saved "$each" || exit; done' sh {} + \
 && for version in saved_models/.versions/*/*; do name=${version%/*}; \
    [ "$(realpath "$version")" = "$(realpath "saved_models/${name##*/}")" ] || rm -rf "$version"; done \
 && python3 -m tf_model.predict --format csv --text ok \
 && python3 -W ignore -c "import streamlit.web.cli, tf_model.api.app; from streamlit.testing.v1 import AppTest; \
app = AppTest.from_file('streamlit_app/app.py', default_timeout=120).run(); \
pages = [app.switch_page(f'views/{name}.py').run() for name in ('batch', 'explore', 'evaluate', 'monitor')]; \
exit(str(app.exception) if app.exception else 0)" \
 && rm -rf saved_models/.monitor && chmod -R a+rX /app /opt/site-packages \
 && install -d -o 10001 -g 10001 saved_models/.monitor

# ------------------------------------------------------------ the image
FROM python
LABEL org.opencontainers.image.title="Tweet Target" \
      org.opencontainers.image.description="What emotion is directed toward which product?" \
      org.opencontainers.image.licenses="MIT"
COPY --from=built /opt/site-packages /opt/site-packages
COPY --from=built /app /app
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# The log of predictions, and the files that people gave to the app, with their texts; a visit to the app deletes those
# not changed for 7 days. Nothing else is written in the app's folder. Mount a volume there to keep them.
VOLUME /app/saved_models/.monitor
EXPOSE 8000 8501 9464
# This asks the app, without a base path (--server.baseUrlPath), or else the API.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as u\nask = u.build_opener(u.ProxyHandler({})).open\ntry: ask('http://127.0.0.1:8501/_stcore/health', timeout=2)\nexcept OSError: ask('http://127.0.0.1:8000/health/ready', timeout=2)"]
CMD ["python3", "-m", "streamlit_app", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true", "--server.fileWatcherType=none"]
