import pytest

from headrace_server.workers.report import Report


@pytest.mark.parametrize("report", [Report(serves=True), Report(failure='the port "50051"\nis taken')])
def test_a_report_is_read_as_it_was_written(report):
    line = report.line()
    assert line.count(b"\n") == 1
    assert Report.read(line) == report


@pytest.mark.parametrize("line", [b"\n", b"a library's greeting\n", b"[1]\n", b'{"serves": true}\n', b"\xff\n"])
def test_what_is_no_report_says_nothing(line):
    assert Report.read(line) == Report()
