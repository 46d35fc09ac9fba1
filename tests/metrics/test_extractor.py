from copy import deepcopy

import pytest
import torch

from duogen.metrics.extractor import Extractor
from metrics.fakes import Fake


def test_an_extractor_stays_in_eval_mode():
    extractor = Fake(2).eval()
    assert not torch.nn.Sequential(extractor).train()[0].training


def test_a_copy_shares_the_weights():
    extractor = Fake(2)
    assert deepcopy([extractor])[0] is extractor


def test_both_methods_are_to_be_given():
    with pytest.raises(TypeError, match="forward"):
        Extractor()
