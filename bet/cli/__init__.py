"""The command ``bet``, which is ``python -m bet``, too."""
