"""What is known of the models of transformers before one is loaded: light, so that plans can ask."""
