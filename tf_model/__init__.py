"""Which emotion is directed towards which product? Data, model, training, export and prediction."""
