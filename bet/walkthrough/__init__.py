"""What the notebooks call, one module per notebook: small computations and figures."""
