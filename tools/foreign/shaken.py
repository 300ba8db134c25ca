"""Random models in which a mistake shows."""

import torch


def shaken(model):
    """A new model's norms, biases and tables are alike or zero; here they differ, so that mixing them up shows."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "table" in name:
            torch.nn.init.normal_(parameter, float("norm" in name and name.endswith("weight")), 0.2)
    return model.eval()
