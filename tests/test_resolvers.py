import pytest
from omegaconf import OmegaConf

from duogen import resolvers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${packed:${shape},2}", [6, 8, 5]),
        ("${packed:${points},3}", [6]),
        ("${sum:62,${codes},2}", 77),
        ("${sum:7}", 7),
        ("${half:9}", 4),
        ("${half:null}", None),
    ],
)
def test_a_config_counts(text, value):
    resolvers.register()
    config = OmegaConf.create({"shape": [3, 8, 5], "points": [2], "codes": [10, 3], "found": text})
    found = config.found
    assert (list(found) if OmegaConf.is_config(found) else found) == value
