"""The deep networks of the zoo in plain PyTorch, in torchvision's form and under its names.

``width`` is the number of maps that the paper's smallest count becomes: with less, the same network is small enough to
be compared in float64.
"""
