"""The tables, a module each, made of stored files alone. Imports neurons' sets and masks, config and core."""
