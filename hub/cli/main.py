"""The hub's command line: parses arguments, runs the verb, returns the exit code. Imports the standard library only."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from hub.cli import output
from hub.cli.output import CliError, Exit, sentence
from hub.cli.parser import Follows, build, read, tree

Verb = Callable[[argparse.Namespace], int]


def run(wanted: argparse.Namespace, demo: Verb, installer: Callable[[], argparse.ArgumentParser] | None = None) -> int:
    """`demo` runs the demo, `installer` has verbs of this door: the hub knows neither."""
    try:
        if wanted.verb == "completion":
            return show_completion(wanted, installer)
        return (demo if wanted.demo else _verb(wanted.verb))(wanted)
    except CliError as error:
        output.failure(error, wanted.json)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return _interrupted(wanted)
    except BrokenPipeError:  # the reader of our output has gone, like `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.FAILED)


def _interrupted(wanted: argparse.Namespace) -> int:
    """What the machine was asked for goes on: where it can be followed."""
    url = getattr(wanted, "follow", "")
    follow = sentence("machine.goes_on", url=url) if url else ""
    if wanted.json:
        output.failure(CliError(Exit.INTERRUPTED, "interrupted", sentence("interrupted"), follow), as_json=True)
    else:
        output.note("\n".join(filter(None, (follow, sentence("interrupted")))))
    return int(Exit.INTERRUPTED)


def _verb(name: str) -> Verb:
    if name == "serve":
        from hub.cli import start

        return start.serve
    if name in ("version", "doctor"):
        from hub.cli import doctor

        return doctor.show_version if name == "version" else doctor.examine
    return _on_data(name)


def _on_data(name: str) -> Verb:
    from hub.cli import destinations, hub_backup, machine_commands, machines, people, start, troubles

    verbs: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
        "machine add": machines.add, "machine list": machines.show_all,
        "machine show": machines.show, "machine key": machines.new_key,
        "machine code": machines.code, "machine remove": machines.remove,
        "machine renew-key": machine_commands.renew_key, "machine set-status": machine_commands.set_status,
        "machine sync-timezone": machine_commands.sync_timezone, "machine backup": machine_commands.backup,
        "user add": people.add, "user list": people.show_all,
        "user edit": people.edit, "user invite": people.invite, "user unlock": people.unlock,
        "user reset-2step": people.reset_two_step,
        "user sessions": people.list_sessions, "user sign-out": people.sign_out,
        "token create": people.create_token, "token list": people.list_tokens, "token revoke": people.revoke_token,
        "trouble list": troubles.show_all, "trouble show": troubles.show, "trouble take": troubles.take,
        "trouble release": troubles.release, "trouble snooze": troubles.snooze, "trouble unsnooze": troubles.unsnooze,
        "trouble note": troubles.note,
        "destination list": destinations.show_all, "destination show": destinations.show,
        "destination add": destinations.add, "destination edit": destinations.edit,
        "destination test": destinations.test, "destination remove": destinations.remove,
        "link": people.link, "backup": hub_backup.back_up, "restore": hub_backup.restore,
        "config show": start.show_config,
    }  # fmt: skip
    return lambda wanted: _in_a_loop(verbs[name](wanted))


def _in_a_loop(work: Awaitable[None]) -> int:
    async def to_its_end() -> None:
        await work

    asyncio.run(to_its_end())
    return int(Exit.OK)


COMMANDS: Final = "myrvm-hub run_hub.py"
CACHE_S: Final = 60
"""For so long a shell offers the machines that it has read."""
_SHELL: Final = """\
_myrvm_hub_words() {
  local verb="" last="" names="" flags=""
  while [ $# -gt 1 ]; do
    case "$verb $1" in
      VERBS) verb="${verb:+$verb }$1" ;;
    esac
    last=$1
    shift
  done
  case "$verb $last" in
VALUES
  esac
  case "$last" in
    ANY) return ;;
  esac
  case "$verb" in
FOLLOWS
  esac
  case "$1" in
    -*) echo "$flags" ;;
    *) echo "$names" ;;
  esac
}
_myrvm_hub_machines() {
  local command=$1 folder=""
  while [ $# -gt 1 ]; do
    [ "$1" != --data-dir ] || folder=$2
    shift
  done
  if [ "$command $folder" != "$_myrvm_hub_for" ] || [ $((SECONDS - _myrvm_hub_at)) -ge CACHE_S ]; then
    _myrvm_hub_known=$("$command" completion --names ${folder:+"--data-dir=$folder"} 2>/dev/null </dev/null)
    _myrvm_hub_for="$command $folder" _myrvm_hub_at=$SECONDS
  fi
}
"""
_BASH: Final = """\
_myrvm_hub() {
  local at=${COMP_WORDS[COMP_CWORD]} words
  words=$(_myrvm_hub_words "${COMP_WORDS[@]:1:COMP_CWORD}")
  if [[ " $words " = *" @machines "* ]]; then
    _myrvm_hub_machines "${COMP_WORDS[@]}"
    words=${words/@machines/$_myrvm_hub_known}
  fi
  COMPREPLY=($(compgen -W "$words" -- "$at"))
}
complete -o default -F _myrvm_hub COMMANDS
"""
_ZSH: Final = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_myrvm_hub() {
  local offered=$(_myrvm_hub_words "${(@)words[2,CURRENT]}")
  if [[ " $offered " = *" @machines "* ]]; then
    _myrvm_hub_machines "${(@)words}"
    offered=${offered/@machines/$_myrvm_hub_known}
  fi
  compadd -- ${=offered} || _files
}
compdef _myrvm_hub COMMANDS
"""
_FISH: Final = """\
function __myrvm_hub_machines
    set -l words (commandline -opc)
    set -l folder
    if set -l at (contains -i -- --data-dir $words)
        set folder --data-dir=$words[(math $at + 1)]
    end
    if test "$words[1] $folder" != "$__myrvm_hub_for"; or test (math (date +%s) - $__myrvm_hub_at) -ge CACHE_S
        set -g __myrvm_hub_known ($words[1] completion --names $folder 2>/dev/null </dev/null)
        set -g __myrvm_hub_for "$words[1] $folder"
        set -g __myrvm_hub_at (date +%s)
    end
    for one in $__myrvm_hub_known
        echo $one
    end
end
function __myrvm_hub_offer
    for word in (string split -- " " $argv[1])
        if test "$word" = @machines
            __myrvm_hub_machines
        else
            printf '%s\\n' $word
        end
    end
end
function __myrvm_hub_words
    set -l verb ""
    set -l last ""
    set -l names
    set -l flags
    for word in (commandline -opc)[2..]
        switch "$verb $word"
            case VERBS
                set verb (string trim "$verb $word")
        end
        set last $word
    end
    switch "$verb $last"
VALUES
    end
    switch "$last"
        case ANY
            return
    end
    switch "$verb"
FOLLOWS
    end
    if string match -q -- "-*" (commandline -ct)
        __myrvm_hub_offer "$flags"
    else
        __myrvm_hub_offer "$names"
    end
end
for command in COMMANDS
    complete -c $command -f -n "count (__myrvm_hub_words) >/dev/null" -a "(__myrvm_hub_words)"
end
"""


def show_completion(wanted: argparse.Namespace, installer: Callable[[], argparse.ArgumentParser] | None) -> int:
    """A script for the shell, made of the parsers; or the machines that it asks for."""
    if wanted.names:
        from hub.cli import machines

        return _in_a_loop(machines.show_words(wanted))
    (root, *verbs), (installs, *others) = tree(build()), tree(installer()) if installer else [Follows("", [], [], {})]
    root.names.extend(installs.names)
    output.result(completion(wanted.shell, [root, *verbs, *others]).rstrip())
    return int(Exit.OK)


def completion(shell: str, verbs: Sequence[Follows]) -> str:
    values = {f'"{one.verb} {flag}"': found for one in verbs for flag, found in one.values.items() if found}
    any_value = sorted({flag for one in verbs for flag, found in one.values.items() if not found})
    if shell == "fish":
        script, between = _FISH, " "
        of_value = "        case {0}\n            __myrvm_hub_offer '{1}'\n            return"
        of_verb = "        case {0}\n            set names '{1}'\n            set flags '{2}'"
    else:
        script, between = _SHELL + (_BASH if shell == "bash" else _ZSH), "|"
        of_value = '    {0}) echo "{1}"; return ;;'
        of_verb = '    {0}) names="{1}" flags="{2}" ;;'
    parts = {
        "VERBS": between.join(f'"{_step(one.verb)}"' for one in verbs if one.verb),
        "VALUES": "\n".join(of_value.format(place, " ".join(found)) for place, found in values.items()),
        "ANY": between.join(any_value),
        "FOLLOWS": "\n".join(
            of_verb.format(f'"{one.verb}"', " ".join(one.names), " ".join(one.flags)) for one in verbs
        ),
        "COMMANDS": COMMANDS, "CACHE_S": str(CACHE_S),
    }  # fmt: skip
    for name, text in parts.items():
        script = script.replace(name, text)
    return script


def _step(verb: str) -> str:
    """How it is compared: the verb so far, a space, the word after it."""
    return verb if " " in verb else f" {verb}"


__all__ = ["read", "run"]
