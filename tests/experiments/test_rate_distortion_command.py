import pytest
from experiments.rate_distortion import main
from PIL import Image

from duogen.errors import UserError
from sweep.written import metric, plan, run, trial


def test_any_sweep_of_vaes_has_a_picture(tmp_path, capsys):
    plan(tmp_path, [trial(f"k{beta}", {"variational.beta": beta}, 0) for beta in "12"])
    for beta in "12":
        run(tmp_path, f"k{beta}", "done", [metric(float(beta), "rate"), metric(9.0, "distortion")])
    main([str(tmp_path), f"out={tmp_path / 'x.png'}"])
    assert capsys.readouterr().out.startswith("2 settings in ")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (640, 480)


@pytest.mark.parametrize(("arguments", "said"), [([], "no folder"), (["nowhere"], "no run is done")])
def test_without_a_run_there_is_no_picture(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        main(arguments)
    assert list(tmp_path.iterdir()) == []
