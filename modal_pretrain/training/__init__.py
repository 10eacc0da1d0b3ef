"""A head, last stages or all weights, trained by skorch."""
