"""What trains whole models: the loop and its hooks, pre-training, the multi-task model. Imports models and below."""
