"""The workloads' networks in PyTorch. Parameters are in the same order as ours. Everything consists of modules that
functorch, ExpandedWeights and Opacus support, if such modules exist."""
import torch
import torch.nn.functional as F
from torch import nn


def perceptron(*widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mnist_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 8, 2, padding=3), nn.ReLU(), nn.MaxPool2d(2, 1),
        nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.MaxPool2d(2, 1),
        nn.Flatten(), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 10),
    )


def cifar_cnn():
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]

    return nn.Sequential(
        *block(3, 32), nn.AvgPool2d(2), *block(32, 64), nn.AvgPool2d(2), *block(64, 64), nn.AvgPool2d(2),
        *block(64, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.GroupNorm(32, outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.GroupNorm(32, outputs),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.GroupNorm(32, outputs)
        ) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def resnet18():
    blocks = []
    for k, width in enumerate([64, 128, 256, 512]):
        blocks += [Residual(width if k == 0 else width // 2, width, 1 if k == 0 else 2), Residual(width, width, 1)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.GroupNorm(32, 64), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
    )


class LstmClassifier(nn.Module):
    """`make` returns the recurrent layer: nn.LSTM, Opacus' DPLSTM, or a loop over steps."""

    def __init__(self, make):
        super().__init__()
        self.words = nn.Embedding(10_000, 100)
        self.lstm = make(100, 128)
        self.head = nn.Linear(128, 2)

    def forward(self, x):
        return self.head(self.lstm(self.words(x))[0][..., -1, :])


def fused_lstm(inputs, hidden):
    return nn.LSTM(inputs, hidden, batch_first=True)


class LoopedLstm(nn.Module):
    """For vmap, which does not support nn.LSTM."""

    def __init__(self, inputs, hidden):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden))

    def forward(self, x):
        projected = F.linear(x, self.weight_ih_l0, self.bias_ih_l0)
        h = c = torch.zeros(x.shape[:-2] + (self.weight_hh_l0.shape[1],))
        states = []
        for step in projected.unbind(-2):
            i, f, g, o = (step + F.linear(h, self.weight_hh_l0, self.bias_hh_l0)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            states.append(h)
        return torch.stack(states, -2), None


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        def split(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

        q, k, v = (split(y) for y in self.project(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(-3, -2).flatten(-2))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = Attention(width, heads)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class LanguageModel(nn.Module):
    def __init__(self, positions=128, vocabulary=8000, width=256, layers=4, heads=4):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        places = torch.arange(x.shape[-1]).expand(x.shape)
        y = self.words(x) + self.positions(places)
        return self.head(self.norm(self.blocks(y)))


class WordMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20_000, 100)
        self.head = nn.Linear(100, 2)

    def forward(self, x):
        return self.head(self.words(x).mean(-2))


def network(workload, lstm=fused_lstm):
    return {
        "mlp": lambda: perceptron(784, 256, 10),
        "mlp-large": lambda: perceptron(784, 1024, 1024, 10),
        "mnist-cnn": mnist_cnn,
        "cifar-cnn": cifar_cnn,
        "resnet18": resnet18,
        "lstm": lambda: LstmClassifier(lstm),
        "gpt": LanguageModel,
        "gpt2": lambda: LanguageModel(1024, 50_257, 768, 12, 12),
        "embedding": WordMean,
        "tiny": lambda: perceptron(20, 32, 32, 2),
        "digits": lambda: perceptron(784, 128, 64, 10),
    }[workload]()
