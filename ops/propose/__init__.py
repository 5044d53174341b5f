"""`ops propose`: read a cluster, and propose the config of a registry that works there.

It needs no deployed stack. The proposal is written to a stack only on request, and never replaces a value of the user.
"""

from dataclasses import asdict

from ..report import print_json, print_line
from .proposal import Proposal
from .stack_config import Written


def print_proposal(proposal: Proposal, written: Written | None, stack: str) -> None:
    """Print each command below its reason, then the omitted choices, and the values that were set."""
    print_line(f"Kubernetes {proposal.version}, nodes: {', '.join(proposal.nodes)}")
    for choice in proposal.choices:
        print_line(f"\n# {choice.reason}\n{choice.command}")
    print_line("\nNot chosen:")
    for omission in proposal.omissions:
        print_line(f"  {omission.subject}: {omission.reason}")
    if written is None:
        print_line("\n→ To set these values, run `python -m ops propose --write STACK`.")
        return
    print_line("")
    for key, value in written.kept.items():
        print_line(f"Kept {key} {value}, which the stack {stack} has already.")
    print_line(f"Set in the stack {stack}: {', '.join(written.keys) or 'nothing'}.")
    print_line("→ Run `pulumi up`.")


def print_proposal_json(proposal: Proposal, written: Written | None) -> None:
    """Print the proposal as one JSON object."""
    result = asdict(proposal)
    result["choices"] = [{**asdict(choice), "command": choice.command} for choice in proposal.choices]
    result["written"] = asdict(written) if written is not None else None
    print_json(result)
