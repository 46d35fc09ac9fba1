import numpy as np

from duogen.metrics.disentanglement.gap import gaps


def test_the_best_leads_the_second():
    assert gaps(np.array([[0.5, 0.0], [0.125, 1.0], [0.25, 0.75]])).tolist() == [0.25, 0.25]


def test_a_single_dimension_leads_nothing():
    assert gaps(np.array([[0.5, 0.25]])).tolist() == [0.5, 0.25]


def test_equals_lead_by_nothing():
    assert gaps(np.array([[0.5], [0.5]])).tolist() == [0.0]
