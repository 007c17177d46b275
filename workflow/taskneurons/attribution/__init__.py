"""Section 1: the score R = |∂L/∂ω · ω| of every neuron, and its rivals. Imports evaluation and below."""
