from headrace_server.cli.whole_lines import print_lines


def test_an_id_and_a_number_are_whole_in_a_terminal_too_narrow_for_them(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    producer = "346c16fb-8ee9-4f07-8530-4d03ecd1e9d3"
    print_lines(("producer", "logged"), [(producer, "336,776"), (producer, "5")], numbers=("logged",))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if producer in line]
    assert lines == [[producer, "336,776"], [producer, "5"]]
