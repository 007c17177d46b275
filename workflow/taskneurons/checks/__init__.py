"""What is checked before any work starts. Imports what is light of all folders; no step imports it."""
