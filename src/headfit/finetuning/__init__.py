"""Training the last stages of a backbone."""
