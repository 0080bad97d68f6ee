"""docs/clients.md: written from what a run saw, and held against what a run does.

The commands and the pinned versions must be the same. What a client asks depends a little on timing,
so of the requests only the kinds are compared, for all commands of a client together: one that the
page does not have makes it stale. `--docs` writes it anew.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import content
import programs
from scenarios import SCENARIOS

PATH = Path(__file__).resolve().parent.parent.parent / "docs" / "clients.md"

INTRODUCTION = """\
# Clients

What is known to push to Roadstead and pull from it.
`make clients` runs every command below against the real registry, and judges by the registry's own answers and access log: what was pulled equals what was pushed, a second push sends no layer again, the digest under an overwritten tag stays readable, lists and deletes work.
This page is written by `tests/clients/run --docs` from such a run, and `make clients` fails when it ran other commands than these, or when a client asked what does not stand here.

Under each command stand the kinds of requests that it made, in the order in which each kind first came, with the status that answered it.
Clients send several requests at once, so numbers may differ by a few from one run to the next.
Commands are shown for a registry at `localhost:5000` that speaks plain HTTP; a client that needs to be told so has an option for it.
Folders, sockets and limits that only the test needs are left out, and some steps that prepare content.
podman and crane are also stopped in the middle of a push, twenty times each: killed, or their connection cut, in turn, after a random number of bytes; the push succeeds when it is run again.

## Versions that passed

| program | version | from |
|---|---|---|
"""


def render(stages, tools):
    # busybox is content, not a client.
    names = {tool for stage in stages for tool in SCENARIOS[stage.name].TOOLS}
    parts = [INTRODUCTION]
    parts += [version_row(name, tools[name]) for name in sorted(names - {"busybox"})]
    parts.append(shapes_table())
    for stage in stages:
        summary = SCENARIOS[stage.name].__doc__.strip()
        parts.append(f"\n## {stage.name}\n\n{summary[0].upper()}{summary[1:]}\n")
        for heading, command, asked in stage.told:
            if heading:
                parts.append(f"\n{heading}:\n")
            lines = "\n".join(f"    {line}" for line in asked)
            parts.append(f"\n```sh\n{command}\n```\n")
            if lines:
                parts.append(f"\n{lines}\n")
    return "".join(parts)


def version_row(name, path):
    version, source = programs.version(name, path)
    return f"| {name} | {version} | {source} |\n"


def shapes_table():
    """Which client moves what. A run holds the scenarios against `CANNOT`, from which this is made."""
    lines = ["", "## Large and odd content", ""]
    lines.append("Pushed, compared by digest with everything it names, and pulled back")
    lines.append("(docker's index is buildah's, pulled by skopeo; of podman's index a pull takes one image):")
    lines.append("")
    lines.append(f"| client | {' | '.join(content.SHAPES.values())} |")
    lines.append("|---" * (len(content.SHAPES) + 1) + "|")
    reasons = []
    for name, scenario in SCENARIOS.items():
        cells = ["no" if shape in scenario.CANNOT else "yes" for shape in content.SHAPES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        reasons += [f"- {name}: {reason}." for reason in dict.fromkeys(scenario.CANNOT.values())]
    return "\n".join([*lines, "", "Where it says no:", "", *reasons, ""])


@dataclass
class Written:
    """What the page has of one client."""

    commands: list = field(default_factory=list)
    # The requests of all its commands, without how often each came.
    kinds: set = field(default_factory=set)


def parse(text):
    """What the page has, by client."""
    found, client, fence = {}, None, None
    for line in text.splitlines():
        if line.startswith("## "):
            client = line[3:]
        elif line.startswith("```"):
            fence = None if fence else line
        elif fence == "```sh":
            found.setdefault(client, Written()).commands.append(line)
        elif line.startswith("    ") and client in found:
            found[client].kinds.add(kind(line.strip()))
    return found


def kind(request):
    return re.sub(r" \(x\d+\)$", "", request)


def staleness(stage, tools, text, written):
    """What the page has wrong about one client, or `None`."""
    if written.commands != [command for _, command, _ in stage.told]:
        return "has other commands"
    rows = {name: version_row(name, tools[name]) for name in SCENARIOS[stage.name].TOOLS if name != "busybox"}
    other = sorted(name for name, row in rows.items() if row not in text)
    if pinned := [name for name in other if name in programs.BUILT]:
        return f"has another version of {pinned[0]}"
    # Another release of Debian has other versions, which may ask for other things and are right too.
    if not other:
        seen = {kind(line) for _, _, asked in stage.told for line in asked}
        if unknown := sorted(seen - written.kinds):
            return f"does not know that it asks {unknown[0]}"
    return None


def settle(stages, tools, writes, say):
    """Writes the page, or compares; returns whether something in it is stale."""
    if writes:
        PATH.write_text(render(stages, tools))
        say(f"wrote docs/{PATH.name}")
        return False
    text = PATH.read_text()
    written = parse(text)
    wrong = {stage.name: staleness(stage, tools, text, written.get(stage.name, Written())) for stage in stages}
    wrong["the table"] = None if shapes_table() in text else "has another table of large and odd content"
    for name, what in wrong.items():
        if what:
            say(f"docs/{PATH.name}, {name}: it {what}; write it anew: tests/clients/run --docs")
    return any(wrong.values())
