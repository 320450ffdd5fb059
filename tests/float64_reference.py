"""Losses over classes and their gradients in float64, pair by pair, from the papers' formulas: no autograd, no PyTorch.

Each function returns the mean loss of features (B, D) with class rows (K, D), and its derivatives with respect to both.
labels: for each image a list of classes. pools: for each image, or label of it, the classes that are in use.
"""

import math

import numpy as np


def unit(vector):
    length = math.sqrt(sum(value * value for value in vector))
    return vector / length, length


class Pairs:
    """Cosines of all pairs, and the way back from derivatives by cosine to vectors."""

    def __init__(self, features, rows):
        self.images, self.classes = ([unit(v) for v in side.astype(np.float64)] for side in (features, rows))
        self.of_features, self.of_rows = (np.zeros(side.shape) for side in (features, rows))

    def cosine(self, image, number):
        return float(self.images[image][0] @ self.classes[number][0])

    def add(self, image, number, slope):
        (x, long), (w, high), cosine = self.images[image], self.classes[number], self.cosine(image, number)
        self.of_features[image] += slope * (w - cosine * x) / long
        self.of_rows[number] += slope * (x - cosine * w) / high


def positive(cosine, margin, scale, kind, gradient):
    """Similarity of a positive, and its derivative by the cosine."""
    if kind == "cosine":
        return scale * (cosine - margin), scale
    angle = math.acos(cosine) + margin
    if gradient == "straight_through":
        return scale * math.cos(angle), scale
    if angle > math.pi:
        return scale * (cosine - margin * math.sin(margin)), scale
    return scale * math.cos(angle), scale * math.sin(angle) / math.sin(angle - margin)


def negative(cosine, scale, threshold, filtered):
    """Similarity of a negative and its derivative, None where it is left out."""
    if threshold is None or cosine <= threshold:
        return scale * cosine, scale
    return None if filtered == "left_out" else (0.0, 0.0)


def log_sum(values):
    largest = max(values, default=-math.inf)
    return largest if largest == -math.inf else largest + math.log(sum(math.exp(v - largest) for v in values))


def logistic(value):
    return 1 / (1 + math.exp(-value)) if value > 0 else math.exp(value) / (1 + math.exp(value))


def softplus(value):
    return value + math.log1p(math.exp(-value)) if value > 0 else math.log1p(math.exp(value))


def cluster_losses(features, rows, labels, pools, loss, *, margin, scale, kind, gradient, threshold, filtered):
    """loss: `mlcd`, `mlc`, or `softmax`, the mean over an image's labels of a softmax with one pool each."""
    pairs, total = Pairs(features, rows), 0.0
    for image, (own, pool) in enumerate(zip(labels, pools, strict=True)):
        terms = [([c], part) for c, part in zip(own, pool, strict=True)] if loss == "softmax" else [(own, pool)]
        for positives, classes in terms:
            share = 1 / len(features) / len(terms)
            near = [(c, *positive(pairs.cosine(image, c), margin, scale, kind, gradient)) for c in positives]
            others = [(c, negative(pairs.cosine(image, c), scale, threshold, filtered)) for c in classes]
            far = [(c, *pair) for c, pair in others if pair is not None and c not in positives]
            a, b = log_sum([-s for _, s, _ in near]), log_sum([s for _, s, _ in far])
            if loss == "mlcd":
                total += share * (softplus(a) + softplus(b))
                of_a, of_b = logistic(a), logistic(b)
            else:
                total += share * softplus(a + b) if b > -math.inf else 0.0
                of_a = of_b = logistic(a + b) if b > -math.inf else 0.0
            for c, s, slope in near:
                pairs.add(image, c, -share * of_a * math.exp(-s - a) * slope)
            for c, s, slope in far:
                pairs.add(image, c, share * of_b * math.exp(s - b) * slope)
    return total, pairs.of_features, pairs.of_rows


def sigmoid_contrast(image, text, factor, bias):
    """SigLIP's loss, and its derivatives by images, texts, log(factor) and bias. image, text: rows of any length."""
    pairs, total, of_log_factor, of_bias = Pairs(image, text), 0.0, 0.0, 0.0
    count = len(image)
    for i in range(count):
        for j in range(count):
            sign, cosine = 1 if i == j else -1, pairs.cosine(i, j)
            logit = factor * cosine + bias
            total += softplus(-sign * logit) / count
            slope = -sign * logistic(-sign * logit) / count
            pairs.add(i, j, slope * factor)
            of_log_factor += slope * factor * cosine
            of_bias += slope
    return total, pairs.of_features, pairs.of_rows, np.array(of_log_factor), np.array(of_bias)


class Linear(Pairs):
    """Logits of a linear layer, whose rows end with the bias, and the way back."""

    def __init__(self, features, rows):
        self.images = np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)
        self.classes = rows.astype(np.float64)
        self.of_features, self.of_rows = np.zeros(features.shape), np.zeros(rows.shape)

    def cosine(self, image, number):
        return float(self.images[image] @ self.classes[number])

    def add(self, image, number, slope):
        self.of_features[image] += slope * self.classes[number][:-1]
        self.of_rows[number] += slope * self.images[image]


def sigmoid_per_class(features, rows, labels, pools, share, factor=None, bias=0.0):
    """Binary cross-entropy of each class of an image's pool, of linear logits or of factor * cosine + bias, times a
    share; also its derivatives by log(factor) and bias."""
    pairs, total, of_log_factor, of_bias = (Pairs if factor else Linear)(features, rows), 0.0, 0.0, 0.0
    for image, (own, pool) in enumerate(zip(labels, pools, strict=True)):
        for c in pool:
            sign, value = 1 if c in own else -1, pairs.cosine(image, c)
            logit = (factor or 1.0) * value + bias
            total += share * softplus(-sign * logit)
            slope = -share * sign * logistic(-sign * logit)
            pairs.add(image, c, slope * (factor or 1.0))
            of_log_factor += slope * (factor or 1.0) * value
            of_bias += slope
    return total, pairs.of_features, pairs.of_rows, np.array(of_log_factor), np.array(of_bias)


def weighted_softmax(features, rows, labels, pools, weights):
    """Cross-entropy of a linear layer over an image's pool with its labels, each of its share of their weights."""
    pairs, total = Linear(features, rows), 0.0
    for image, (own, pool) in enumerate(zip(labels, pools, strict=True)):
        logits = {c: pairs.cosine(image, c) for c in pool}
        whole, share = sum(weights[c] for c in own), 1 / len(features)
        if whole == 0:
            continue
        target = {c: weights[c] / whole if c in own else 0.0 for c in pool}
        logs = log_sum(list(logits.values()))
        total += share * sum(target[c] * (logs - logits[c]) for c in own)
        for c in pool:
            pairs.add(image, c, share * (math.exp(logits[c] - logs) - target[c]))
    return total, pairs.of_features, pairs.of_rows


def masked_pooling(patches, masks, query, key, value, out, heads):
    """Attention of one query to the patches of each region: features (regions, dim), and a function from derivatives by
    them to those by patches, query, and the weights and biases of key, value and out, each a pair of arrays."""
    b, p, width = patches.shape
    size, kept = width // heads, []
    (wk, bk), (wv, bv), (wo, bo) = key, value, out
    pooled = np.zeros((b, masks.shape[1], width))
    for image in range(b):
        k, v = patches[image] @ wk.T + bk, patches[image] @ wv.T + bv
        for region, mask in enumerate(masks[image]):
            inside = [n for n in range(p) if mask[n]]
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                scores = [float(query[part] @ k[n, part]) / math.sqrt(size) for n in inside]
                whole = log_sum(scores)
                weights = [math.exp(score - whole) for score in scores]
                pooled[image, region, part] = sum(w * v[n, part] for w, n in zip(weights, inside, strict=True))
                kept.append((image, region, part, inside, weights, k, v))
    features = (pooled @ wo.T + bo).reshape(-1, len(bo))

    def back(of_features):
        of_features = of_features.reshape(b, masks.shape[1], -1)
        grads = {"query": np.zeros(width), "patches": np.zeros(patches.shape)}
        grads["out.weight"] = np.einsum("brd,brw->dw", of_features, pooled)
        grads["out.bias"] = of_features.sum((0, 1))
        of_pooled, of_k, of_v = of_features @ wo, np.zeros(patches.shape), np.zeros(patches.shape)
        for image, region, part, inside, weights, k, v in kept:
            g = of_pooled[image, region, part]
            mean = float(g @ pooled[image, region, part])
            for w, n in zip(weights, inside, strict=True):
                of_v[image, n, part] += w * g
                slope = w * (float(g @ v[n, part]) - mean) / math.sqrt(size)
                grads["query"][part] += slope * k[n, part]
                of_k[image, n, part] += slope * query[part]
        grads["patches"] = of_k @ wk + of_v @ wv
        for name, of_layer in (("key", of_k), ("value", of_v)):
            grads[f"{name}.weight"] = np.einsum("bpd,bpw->dw", of_layer, patches)
            grads[f"{name}.bias"] = of_layer.sum((0, 1))
        return grads

    return features, back
