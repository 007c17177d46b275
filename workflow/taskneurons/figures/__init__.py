"""The figures, a module each, made of the tables. Imports tables, config and core."""
