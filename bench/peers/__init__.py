"""What the gate is measured beside: a program each, with the same arguments and the same rule."""
