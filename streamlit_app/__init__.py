"""The pages: what is shown. What is computed lives in :mod:`tf_model`."""

METRICS_VARIABLE = "TWEETS_METRICS"  # HOST:PORT at which the app serves its metrics to Prometheus; off if not set
