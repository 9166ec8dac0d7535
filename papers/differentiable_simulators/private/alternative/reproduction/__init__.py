"""A reproduction of Do Differentiable Simulators Give Better Policy Gradients?"""
