"""Running a rival by itself: a few rounds of one contender, printed."""

from bench.case import load_case
from bench.progress import Progress
from bench.results import line_of
from bench.rounds import Plan, run_case


def alone(*names: tuple[str, str]) -> None:
    """Run these contenders, each (case, contender), three rounds, and print what came out."""
    for case_name, contender_name in names:
        case = load_case(case_name)
        contender = case.contender(contender_name)
        plan = Plan(repeats=3, only=(contender_name,))
        samples = run_case(case, plan, Progress.silent())[contender_name]
        print(f"{case.title}: {contender.how}\n  left after a crash: {contender.guarantees}")
        print("\n".join(f"  {line}" for line in line_of(case.operation, samples)))
