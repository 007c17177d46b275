"""One file a method; `continual/method.py` says what it holds."""
