"""docs/clients.md: written from what a run saw, and held against what a run does.

The commands are those of the scenarios. What a client asks depends a little on timing, so only the
commands are compared; `--docs` writes both anew.
"""

from pathlib import Path

import programs
from scenarios import SCENARIOS

PATH = Path(__file__).resolve().parent.parent.parent / "docs" / "clients.md"

INTRODUCTION = """\
# Clients

What is known to push to Roadstead and pull from it.
`make clients` runs every command below against the real registry, and judges by the registry's own answers and access log: what was pulled equals what was pushed, a second push sends no layer again, the digest under an overwritten tag stays readable, lists and deletes work.
This page is written by `tests/clients/run --docs` from such a run, and `make clients` fails when a command here is not the one that it ran.

Under each command stand the kinds of requests that it made, in the order in which each kind first came, with the status that answered it.
Clients send several requests at once, so numbers may differ by a few from one run to the next.
Commands are shown for a registry at `localhost:5000` that speaks plain HTTP; a client that needs to be told so has an option for it.
Folders, sockets and limits that only the test needs are left out, and some steps that prepare content.
podman and crane are also stopped in the middle of a push, twenty times each: killed, or their connection cut, after a random number of bytes; the push succeeds when it is run again.

## Versions that passed

| program | version | from |
|---|---|---|
"""


def render(stages, tools):
    parts = [INTRODUCTION]
    # busybox is content, not a client.
    names = {tool for stage in stages for tool in SCENARIOS[stage.name].TOOLS}
    for name in sorted(names - {"busybox"}):
        version, source = programs.version(name, tools[name])
        parts.append(f"| {name} | {version} | {source} |\n")
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


def commands(text):
    """The commands of the page by client."""
    found, client, is_command = {}, None, False
    for line in text.splitlines():
        if line.startswith("## "):
            client = line[3:]
        elif line.startswith("```"):
            is_command = line == "```sh"
        elif is_command:
            found.setdefault(client, []).append(line)
    return found


def settle(stages, tools, writes, say):
    """Writes the page, or compares; returns the clients whose commands it does not have."""
    if writes:
        PATH.write_text(render(stages, tools))
        say(f"wrote docs/{PATH.name}")
        return []
    written = commands(PATH.read_text())
    stale = []
    for stage in stages:
        ran = [command for _, command, _ in stage.told]
        if written.get(stage.name, []) != ran:
            stale.append(stage.name)
            say(f"docs/{PATH.name} has other commands for {stage.name}; write it anew: tests/clients/run --docs")
    return stale
