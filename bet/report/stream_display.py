"""Show the parts of a study of streams in its notebook and, when saving, write them into the report
folder.
"""

from collections.abc import Callable

from matplotlib.figure import Figure

from bet.analysis.streams import StreamResults, stream_results_of
from bet.paths import report_dir, results_dir
from bet.report.display import show_figure, show_list, show_table
from bet.report.stream_findings import stream_findings
from bet.report.stream_tables import averages_table
from bet.stream import STREAMS
from bet.study import bundle
from bet.study.cell import file_name_of
from bet.study.job import run_logged
from bet.study.profiles import PROFILES


def load_or_run(profile: str) -> StreamResults:
    """The records of a study of streams, of its results or else of the bundle in its report folder;
    where there are none its cells are run here, one after the other.
    """
    found = load_results(profile)
    if not found.records:
        run_logged(PROFILES[profile].cells)
        found = load_results(profile)
    return found


def load_results(profile: str) -> StreamResults:
    """The records of a study of streams; nothing is run."""
    return stream_results_of(bundle.load(profile, results_dir() / profile, report_dir(profile)))


def show_findings(results: StreamResults) -> None:
    """The five answers, or those of them that have records."""
    show_list(stream_findings(results))


def show_averages(results: StreamResults, save: bool = False) -> None:
    """The table of means over segments."""
    show_table(results, averages_table(results), save)


def show_over_time(
    results: StreamResults,
    make: Callable[[StreamResults, str], Figure | None],
    save: bool = False,
) -> None:
    """The figure that ``make`` gives for every stream."""
    for dataset in dict.fromkeys(dataset for dataset, _ in results.groups):
        show_figure(
            results,
            make(results, dataset),
            f"{make.__name__}_{file_name_of(dataset, STREAMS)}",
            save,
        )


def show_by_backbone(
    results: StreamResults,
    make: Callable[[StreamResults, str, str], Figure | None],
    save: bool = False,
) -> None:
    """The figure that ``make`` gives for every stream and backbone."""
    for dataset, backbone in results.groups:
        name = f"{make.__name__}_{file_name_of(dataset, STREAMS)}_{backbone}"
        show_figure(results, make(results, dataset, backbone), name, save)
