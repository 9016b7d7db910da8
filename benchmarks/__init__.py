"""How fast the package is (``speed``) and how the studies' settings were chosen (``sweeps``)."""
