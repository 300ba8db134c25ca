"""A decoder with more channels that starts from what a narrower one has learned.

Tenstorrent's own Mochi (models/tt_dit of tenstorrent/tt-metal) takes blocks of 128 channels where its table names no
others, and ttnn's conv3d refuses to cut 64 or 96 channels into them. So a decoder of 96 is widened; it learns on from
there (training.mochi.again).
"""

import torch
from diffusers import AutoencoderKLMochi

from training.parts import new_autoencoder

GROUPS = 32  # of MochiChunkedGroupNorm3D: a new channel joins the group of the one that it repeats


@torch.no_grad()
def widened(learned: AutoencoderKLMochi, config: dict) -> AutoencoderKLMochi:
    """The autoencoder with the decoder's widths of config["autoencoder"], its encoder and its statistics as they are.

    Each new channel repeats one of its group. What reads the two of them takes unlike shares of what it took from the
    one, so that they can learn apart. Sums stay; the variance in a group moves a little, which a short training mends.
    Raises ValueError where a width would shrink, where groups would not grow alike, where the same width would become
    two, or two widths grow by the same share.
    """
    old, new = (tuple(has["decoder_block_out_channels"]) for has in (learned.config, config["autoencoder"]))
    if old == new:
        return learned
    grows = {before: after for before, after in zip(old, new, strict=True) if before != after}
    if any(after < before or before % GROUPS or after % GROUPS for before, after in grows.items()):
        raise ValueError(f"widths of a decoder grow, each by a multiple of {GROUPS}: not {old} to {new}")
    if any(grows.get(before, after) != after for before, after in zip(old, new, strict=True) if before != after):
        raise ValueError(f"blocks that grow from the same width grow alike: not {old} to {new}")
    if len({after / before for before, after in grows.items()}) < len(grows):
        raise ValueError(f"two widths that grow by the same share cannot be told apart in a weight: {old} to {new}")
    torch.manual_seed(config["seed"] + 5)
    shape = {name: learned.config[name] for name in config["autoencoder"]} | {"decoder_block_out_channels": new}
    whole = new_autoencoder(config | {"autoencoder": shape})
    state = whole.state_dict()
    for name, weight in learned.state_dict().items():
        for dim, (has, wants) in enumerate(zip(weight.shape, state[name].shape, strict=True)):
            if has != wants:
                before = next(width for width, after in grows.items() if has * after == wants * width)
                weight = _grown(weight, dim, before, grows[before])
        state[name] = weight
    whole.load_state_dict(state)
    whole.register_to_config(latents_mean=learned.config.latents_mean, latents_std=learned.config.latents_std)
    return whole


def _grown(weight: torch.Tensor, dim: int, before: int, after: int) -> torch.Tensor:
    """Channels along dim from `before` to `after`; where dim holds e numbers of each channel, all e go with it."""
    per_group, wanted = before // GROUPS, after // GROUPS
    order = torch.arange(before).view(GROUPS, per_group)
    more = [order.gather(1, (torch.arange(GROUPS)[:, None] + k) % per_group) for k in range(wanted - per_group)]
    source = torch.cat([order, *more], 1).flatten()  # (after,): which old channel each new one repeats
    each = weight.unflatten(dim, (before, -1)).index_select(dim, source)
    if dim == 1:  # what is read: the copies of a channel share what it gave
        share = 0.5 + torch.rand(after)
        share = share / torch.zeros(before).index_add(0, source, share)[source]
        each = each * share.view(-1, *[1] * (each.ndim - 2))
    return each.flatten(dim, dim + 1)
