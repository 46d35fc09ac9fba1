"""The mutual information gap."""

from duogen.metrics.disentanglement.encoded import Encoded
from duogen.metrics.disentanglement.gap import gaps
from duogen.metrics.disentanglement.information import entropies, mutual_information


def mutual_information_gap(encoded: Encoded, bins: int) -> float:
    """MIG = 1/K sum_k (I(z_j*; v_k) - max_{j != j*} I(z_j; v_k)) / H(v_k), j* the best j for k; in [0, 1].

    Codes (N, Z) are cut into equal `bins`; factors (N, K), none of them constant. Chen et al. 2018, eq. 6, with a
    histogram in the place of samples of q(z | x), as Locatello et al. 2019.
    """
    gap = gaps(mutual_information(encoded.codes, encoded.factors, bins))
    return float((gap / entropies(encoded.factors)).mean())
