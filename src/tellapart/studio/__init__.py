"""Studio: collecting, checking, training and trying in a browser, on one's own machine."""
