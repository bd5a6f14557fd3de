"""The Matérn kernel of smoothness 5/2 with a length scale for each group of features, and its derivatives.

    Φ  (n, D)  features             w  (G,)  1 / ℓ_g², one for each group of columns; `groups` (D,) says which
    r² = Σ_g w_g ‖φ_g − φ'_g‖²      k = s² (1 + √5 r + 5/3 r²) e^{−√5 r}

All derivatives go through r², since ∂k/∂(r²) = −5/6 s² (1 + √5 r) e^{−√5 r} =: −slope is finite at r = 0 too. Sums over
all pairs become matrix products, so neither the kernel nor its gradients ever hold an array of n × n × D. Source: Rasmussen
& Williams 2006, section 4.2.1.
"""

from __future__ import annotations

import numpy as np

from rung.space.space import Array

_ROOT5 = np.sqrt(5.0)


def squared_distances(a: Array, b: Array) -> Array:
    """(n, m) between the rows of features that are scaled by √w."""
    left, right = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    r2: Array = a @ b.T
    r2 *= -2.0
    r2 += left[:, None]
    r2 += right
    return np.maximum(r2, 0.0, out=r2)


def matern(r2: Array) -> tuple[Array, Array]:
    """Kernel and slope for s² = 1, of the same shape as r²."""
    root = np.sqrt(r2)
    root *= _ROOT5
    decay = np.exp(-root)
    slope = root
    slope += 1.0
    slope *= decay
    k = (5.0 / 3.0) * r2
    k *= decay
    k += slope
    slope *= 5.0 / 6.0
    return k, slope
