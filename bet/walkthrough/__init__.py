"""What the walkthrough notebooks call: pictures and small computations."""
