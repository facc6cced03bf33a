"""A script with which a shell completes a command line, made of its parsers. Standard library only."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

SHELLS: Final = ("bash", "zsh", "fish")
MACHINES: Final = "@machines"
"""In the place of the machines' names, which the shell asks for."""
CACHE_S: Final = 60
"""For so long a shell offers the machines that it has read."""


class Follows(NamedTuple):
    """What may follow a verb. `values`: of the flags that take one, the choices; none: any."""

    verb: str
    names: list[str]
    flags: list[str]
    values: dict[str, list[str]]


class Program(NamedTuple):
    """`commands`: what it is started as. `places`: flags with which it is asked for the machines' names, too."""

    name: str
    commands: str
    places: Sequence[str] = ()


def tree(parser: argparse.ArgumentParser, verb: str = "") -> Iterator[Follows]:
    verbs: dict[str, argparse.ArgumentParser] = {}
    found = Follows(verb, [], [], {})
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask what a parser takes
        choices: Any = action.choices or ()
        named = list(choices) or ([MACHINES] if action.metavar == "MACHINE" else [])
        if action.nargs == argparse.PARSER:
            verbs.update(choices)
        elif not action.option_strings:
            found.names.extend(named)
        else:
            found.flags.append(action.option_strings[-1])
            if action.nargs != 0:
                found.values[action.option_strings[-1]] = named
    found.names.extend(verbs)
    yield found
    for name, below in verbs.items():
        yield from tree(below, f"{verb} {name}".strip())


_SHELL: Final = """\
_PROGRAM_words() {
  local verb="" last="" names="" flags=""
  while [ $# -gt 1 ]; do
    case "$verb $1" in
      VERBS) verb="${verb:+$verb }$1" ;;
    esac
    [ "$1" = "=" ] || last=$1
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
"""
_MACHINES: Final = """\
_PROGRAM_machines() {
  local command=$1 value
  local -a where
  where=()
  shift
  while [ $# -gt 1 ]; do
    value=$2
    case "$value" in "~/"*) value=$HOME/${value#"~/"} ;; esac
    case "$1" in
      PLACES) where+=("$1=$value") ;;
      PLACED) where+=("$1") ;;
    esac
    shift
  done
  if [ "$command ${where[*]}" != "$_PROGRAM_for" ] || [ $((SECONDS - _PROGRAM_at)) -ge CACHE_S ]; then
    _PROGRAM_known=$("$command" completion --names "${where[@]}" 2>/dev/null </dev/null)
    _PROGRAM_for="$command ${where[*]}" _PROGRAM_at=$SECONDS
  fi
}
"""
_ASKED: Final = {
    "bash": """\
  if [[ " $words " = *" @machines "* ]]; then
    local -a typed # COMP_WORDS is cut at each = and : as well, and has its quotes
    mapfile -t typed < <(xargs -n 1 printf '%s\\n' 2>/dev/null <<< "${COMP_LINE:0:COMP_POINT}")
    _PROGRAM_machines "${typed[@]}" ""
    words=${words/@machines/$_PROGRAM_known}
  fi
""",
    "zsh": """\
  if [[ " $offered " = *" @machines "* ]]; then
    _PROGRAM_machines "${(@Q)words[1,CURRENT]}"
    offered=${offered/@machines/$_PROGRAM_known}
  fi
""",
    "fish": """\
        if test "$word" = @machines
            __PROGRAM_machines
            continue
        end
""",
}
_BASH: Final = """\
_PROGRAM() {
  local at=${COMP_WORDS[COMP_CWORD]} words
  words=$(_PROGRAM_words "${COMP_WORDS[@]:1:COMP_CWORD}")
ASKED  COMPREPLY=($(compgen -W "$words" -- "${at#=}"))
}
complete -o default -F _PROGRAM COMMANDS
"""
_ZSH: Final = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_PROGRAM() {
  local offered=$(_PROGRAM_words "${(@)words[2,CURRENT]}")
ASKED  compadd -- ${=offered} || _files
}
compdef _PROGRAM COMMANDS
"""
_FISH_MACHINES: Final = """\
function __PROGRAM_machines
    set -l words (commandline -opc)
    set -l where
    for at in (seq (count $words))
        switch $words[$at]
            case PLACES
                set -a where $words[$at]=(string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
            case PLACED
                set -a where $words[$at]
        end
    end
    if test "$words[1] $where" != "$__PROGRAM_for"; or test (math (date +%s) - $__PROGRAM_at) -ge CACHE_S
        set -g __PROGRAM_known ($words[1] completion --names $where 2>/dev/null </dev/null)
        set -g __PROGRAM_for "$words[1] $where"
        set -g __PROGRAM_at (date +%s)
    end
    for one in $__PROGRAM_known
        echo $one
    end
end
"""
_FISH: Final = """\
function __PROGRAM_offer
    for word in (string split -- " " $argv[1])
ASKED        printf '%s\\n' $word
    end
end
function __PROGRAM_words
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
        __PROGRAM_offer "$flags"
    else
        __PROGRAM_offer "$names"
    end
end
for command in COMMANDS
    complete -c $command -f -n "count (__PROGRAM_words) >/dev/null" -a "(__PROGRAM_words)"
end
"""


def script(shell: str, program: Program, parser: argparse.ArgumentParser, *beside: argparse.ArgumentParser) -> str:
    """`beside`: parsers of further verbs."""
    (root, *verbs), *others = (list(tree(one)) for one in (parser, *beside))
    for other, *more in others:
        root.names.extend(other.names)
        verbs += more
    return _filled(shell, program, [root, *verbs])


def _filled(shell: str, program: Program, verbs: Sequence[Follows]) -> str:
    switches = {flag for one in verbs for flag in one.flags if flag not in one.values}
    values = {
        f'"{one.verb} {flag}"': found
        for one in verbs
        for flag, found in one.values.items()
        if found or flag in switches  # of another verb
    }
    any_value = sorted({flag for one in verbs for flag, found in one.values.items() if not found} - switches)
    places = program.places
    if shell == "fish":
        made, between, placed = (
            (_FISH_MACHINES if places else "") + _FISH,
            " ",
            " ".join(f"'{flag}=*'" for flag in places),
        )
        of_value = "        case {0}\n            __PROGRAM_offer '{1}'\n            return"
        of_verb = "        case {0}\n            set names '{1}'\n            set flags '{2}'"
    else:
        made, between, placed = (_MACHINES if places else "") + _SHELL, "|", "|".join(f"{flag}=*" for flag in places)
        made += _BASH if shell == "bash" else _ZSH
        of_value = '    {0}) echo "{1}"; return ;;'
        of_verb = '    {0}) names="{1}" flags="{2}" ;;'
    parts = {
        "ASKED": _ASKED[shell] if places else "",
        "VERBS": between.join(f'"{_step(one.verb)}"' for one in verbs if one.verb),
        "VALUES": "\n".join(of_value.format(place, " ".join(found)) for place, found in values.items()),
        "ANY": between.join(any_value),
        "FOLLOWS": "\n".join(
            of_verb.format(f'"{one.verb}"', " ".join(one.names), " ".join(one.flags)) for one in verbs
        ),
        "PLACES": between.join(places), "PLACED": placed, "PROGRAM": program.name,
        "COMMANDS": program.commands, "CACHE_S": str(CACHE_S),
    }  # fmt: skip
    for name, text in parts.items():
        made = made.replace(name, text)
    return made.rstrip()


def _step(verb: str) -> str:
    """How it is compared: the verb so far, a space, the word after it."""
    return verb if " " in verb else f" {verb}"
