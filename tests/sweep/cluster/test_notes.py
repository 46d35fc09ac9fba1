from duogen.sweep.cluster.notes import End, Notes


def test_notes_lie_beside_the_trials_file_under_its_name(tmp_path):
    notes = Notes(tmp_path / "0a1b.json")
    notes.ask_stop()
    notes.write_job("12_3")
    notes.write_end(End(-9, timed_out=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0a1b.end", "0a1b.job", "0a1b.stop"]
    assert (notes.job(), notes.end()) == ("12_3", End(-9, True))


def test_what_nobody_has_written_is_none_and_a_cleared_note_is_gone(tmp_path):
    notes = Notes(tmp_path / "0a1b.json")
    notes.clear()
    assert (notes.job(), notes.end()) == (None, None)
    notes.write_job("12")
    notes.write_end(End(0, timed_out=False))
    notes.clear()
    assert (notes.job(), notes.end()) == (None, None)
