"""Which emotion does a text direct at which product? Data, model, training, export and prediction."""
