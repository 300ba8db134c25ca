"""Gradients whose golden functions in ttnn 0.81.1 do not take what the ops take. Each asks torch's autograd."""

import torch
import torch.nn.functional as F
import ttnn

from ttnn_emulator.ops import golden_of


def gradients(function, grad, *inputs) -> list[torch.Tensor]:
    """Of each input, where the gradient of function(*inputs) is `grad`"""
    inputs = [x.detach().float().requires_grad_() for x in inputs]
    return list(torch.autograd.grad(function(*inputs), inputs, grad.float()))


@golden_of(ttnn.addcmul_bw)
def addcmul_bw(grad_tensor, input_tensor_a, input_tensor_b, input_tensor_c, alpha):
    """Of a + alpha b c"""
    of = lambda a, b, c: torch.addcmul(a, b, c, value=alpha)
    return gradients(of, grad_tensor, input_tensor_a, input_tensor_b, input_tensor_c)


@golden_of(ttnn.addcdiv_bw)
def addcdiv_bw(grad_tensor, input_tensor_a, input_tensor_b, input_tensor_c, alpha):
    """Of a + alpha b / c"""
    of = lambda a, b, c: torch.addcdiv(a, b, c, value=alpha)
    return gradients(of, grad_tensor, input_tensor_a, input_tensor_b, input_tensor_c)


@golden_of(ttnn.acosh_bw)
def acosh_bw(grad_tensor, input_tensor):
    return gradients(torch.acosh, grad_tensor, input_tensor)


@golden_of(ttnn.embedding_bw)
def embedding_bw(input_tensor, weight_tensor, output_gradient_tensor):
    """Indices, weights (..., words, width) and a row of gradients for each index -> (1, 1, words, width)"""
    width = weight_tensor.shape[-1]
    of = lambda weight: F.embedding(input_tensor.long().flatten(), weight.reshape(-1, width))
    grad = gradients(of, output_gradient_tensor.reshape(-1, width), weight_tensor)[0]
    return grad.reshape(1, 1, -1, width)


@golden_of(ttnn.prod_bw)
def prod_bw(grad_tensor, input_tensor, *, dim=None):
    if dim is None:
        return gradients(torch.prod, grad_tensor.flatten()[0], input_tensor)
    return gradients(lambda x: torch.prod(x, dim, keepdim=True), grad_tensor, input_tensor)
