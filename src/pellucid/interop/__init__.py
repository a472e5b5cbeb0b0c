"""Files that other programs can read: the model file and what it stands on; and weights under PyTorch's names."""
