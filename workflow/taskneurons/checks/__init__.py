"""What is checked before any work starts: the config against its own types, the model's and the data's files. Imports
config, data and neurons (what is light of them), and the names of rules and criteria; steps never import it."""
