"""The exercises of notebook 06 on guidance over the chips. Each reference is one right answer."""

import torch
import ttnn

from helpers.collectives import all_gather
from helpers.exercises import Exercise
from helpers.exercises.inputs import rounded, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import gather, replicate, shard

WIDTH, WORDS = 64, 32  # of the small cases: of a token, and tokens of a text
STRENGTHS = (4.5, 1.5)
SCALE = 0.02  # of the scores: small, so that a token hears more than itself


def both_at_once(model, x, wanted, unwanted, strength, mesh, chips):
    half, tokens = chips // 2, x.shape[2]
    x = shard(torch.cat([x, x], 2), mesh, sp=2)
    text = shard(torch.cat([wanted] * half + [unwanted] * half, 2), mesh, sp=2)
    own = torch.arange(2 * tokens) // tokens  # 0 for the first pass, 1 for the second
    mask = torch.where(own[:, None] == own, 0.0, -1e9)[None, None]
    flows = gather(model(x, text, shard(mask, mesh, sp=2)), sp=2)
    with_prompt, without = flows.chunk(2, 2)
    return without + strength * (with_prompt - without)


class Small:
    """A denoiser of one layer: tokens hear their chip's text, then each other, where the mask lets them."""

    def __init__(self, mesh, weight: torch.Tensor):
        self.weight = replicate(weight, mesh)

    def __call__(self, x, text, mask):
        """x (1, 1, tokens / sp, D), text (1, 1, words, D) and mask (1, 1, tokens / sp, tokens) of each chip -> x"""
        x = ttnn.add(x, ttnn.mean(text, dim=2, keepdim=True))
        everyone = all_gather(x, 2, "sp")
        scores = ttnn.multiply(ttnn.matmul(x, everyone, transpose_b=True), SCALE)
        return ttnn.linear(ttnn.matmul(ttnn.softmax(ttnn.add(scores, mask), dim=-1), everyone), self.weight)

    def __repr__(self):
        return "model"


def both_cases():
    """Two passes, one after the other, in plain torch"""
    mesh, (_, sp), draw = current_mesh(), tp_and_sp(), rounded(61)
    x, weight = draw(1, 1, 32 * sp, WIDTH), draw(1, 1, WIDTH, WIDTH) / WIDTH**0.5
    texts = [2 * draw(1, 1, WORDS, WIDTH) + draw(1, 1, 1, WIDTH) for _ in range(2)]
    told = [x + text.mean(2, keepdim=True) for text in texts]
    flows = [torch.softmax(y @ y.mT * SCALE, -1) @ y @ weight for y in told]
    model, right = Small(mesh, weight), lambda s: torch.lerp(flows[1], flows[0], s)
    return [((model, x, *texts, strength, mesh, sp), right(strength)) for strength in STRENGTHS]


def both_with(text=None, mask=None, combine=None):
    """Both passes at once, with a way of one's own to place the texts, to mask, or to combine."""
    text = text or (lambda wanted, unwanted, half: [wanted] * half + [unwanted] * half)
    mask = mask or (lambda own: own[:, None] == own)
    combine = combine or (lambda a, b, s: b + s * (a - b))

    def made(model, x, wanted, unwanted, strength, mesh, chips):
        own = torch.arange(2 * x.shape[2]) // x.shape[2]
        masked = torch.where(mask(own), 0.0, -1e9)[None, None]
        texts = torch.cat(text(wanted, unwanted, chips // 2), 2)
        placed = (shard(part, mesh, sp=2) for part in (torch.cat([x, x], 2), texts, masked))
        return combine(*gather(model(*placed), sp=2).chunk(2, 2), strength)

    return made


both_at_once = Exercise(
    "both_at_once",
    both_at_once,
    both_cases,
    needs_mesh=True,
    mistakes={
        "the passes hear each other. A query may meet the keys of its own pass only: the mask is missing.": both_with(
            mask=lambda own: own[:, None] >= 0 * own
        ),
        "the mask is the wrong way round: 0 lets through, -1e9 does not.": both_with(
            mask=lambda own: own[:, None] != own
        ),
        "wanted and unwanted have changed places.": both_with(text=lambda a, b, half: [b] * half + [a] * half),
        "all chips have the same text, so both flows are one.": both_with(text=lambda a, b, half: [a] * 2 * half),
        "the texts alternate from chip to chip. The first half of the chips holds the first pass's tokens.": both_with(
            text=lambda a, b, half: [a, b] * half
        ),
        "it starts from the flow with the prompt. Start from the one without.": both_with(
            combine=lambda a, b, s: a + s * (a - b)
        ),
        "only the difference is left. It is a direction to go from the flow without a prompt.": both_with(
            combine=lambda a, b, s: s * (a - b)
        ),
    },
    hints=(
        "All chips run one program. What makes a chip work for the one pass or for the other is what lies on it.",
        "x twice behind itself, cut over sp: the first half of the chips holds the first copy. A text for each chip, "
        "in this order, cut over sp. A mask (2 tokens, 2 tokens), its rows cut over sp.",
        "own = torch.arange(2 * tokens) // tokens; mask 0 where own[:, None] == own, else -1e9. Gather over sp, "
        "chunk(2, 2), and guide.",
    ),
    discussion=(
        "Half of the calls: what is gained is what a call costs beside its work. What is lost: keys and values travel "
        "to the other half, and scores are computed with them, for the mask to throw away. Two meshes of half the "
        "size, `mesh.create_submeshes`, do neither; tt-metal's Stable Diffusion 3.5 does that (`cfg_config` in "
        "models/tt_dit/pipelines/stable_diffusion_35_large/pipeline_stable_diffusion_35_large.py at 79925a3f)."
    ),
)
