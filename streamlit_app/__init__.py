"""The pages of the app. They only display; :mod:`tf_model` computes."""

METRICS_VARIABLE = "TWEETS_METRICS"  # HOST:PORT where Prometheus reads the app's metrics; unset: none are served
