"""What a model answers, and how good that is; zero-shot. Imports training and below."""
