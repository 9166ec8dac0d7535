"""How bash, zsh and fish ask what may come next, and how they are answered."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from harness.cli.main import reproof
from harness.cli.start import COMPLETE, PROGRAM
from harness.errors import ReproofError
from harness.report.text import echo

_BASH = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(
        IFS=$'\\n'
        env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
            %(complete_var)s=bash_complete "$1" 2>/dev/null
    )
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace  # a value follows
    fi
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    setopt localoptions extendedglob
    local -a plain settings described response
    local type value text
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
        %(complete_var)s=zsh_complete "$words[1]" 2>/dev/null)}")
    for type value text in "${response[@]}"; do
        case $type in
            dir) compset -P '[-a-z_]#='; _path_files -/ ;;
            file) compset -P '[-a-z_]#='; _path_files -f ;;
            plain)
                if [[ $text != _ ]]; then
                    described+=("${value}:${text}")
                elif [[ $value == *= ]]; then
                    settings+=("$value")
                else
                    plain+=("$value")
                fi ;;
        esac
    done
    (( ${#described} )) && _describe -V unsorted described -U
    (( ${#settings} )) && compadd -U -S '' -V unsorted -a settings  # a value follows
    (( ${#plain} )) && compadd -U -V unsorted -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


_FISH = """\
function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \\
        %(prog_name)s 2>/dev/null)
    set -l setting (string match -r -- '^[-a-z_]+=' (commandline -t))
    for completion in $response
        set -l parts (string split --max 1 -- , $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2] | string replace -r -- '^' "$setting"
            case file
                __fish_complete_path $parts[2] | string replace -r -- '^' "$setting"
            case plain
                echo $parts[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Whole(ShellComplete):
    """A value is offered together with the `--option=` that it is typed behind."""

    _option = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before, and the word that is being typed."""
        words, last = super().get_completion_args()
        option, sign, _ = last.partition("=")
        self._option = option + sign if sign and last.startswith("-") else ""
        return words, last

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """What may stand in place of the word."""
        found = super().get_completions(args, incomplete)
        for item in found:
            if item.type == "plain":
                item.value = f"{self._option}{item.value}"
        return found


class _Broken(BashComplete):
    """Bash breaks words at `=` and `:` too."""

    @property
    def breaks(self) -> set[str]:
        """The signs that words are broken at here."""
        return set("=:") & set(os.environ.get("COMP_WORDBREAKS", "=:"))

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as they were typed."""
        words, last = super().get_completion_args()
        *words, last = rejoined([*words, last], self.breaks)
        return words, last


class Bash(_Whole, _Broken):
    """Bash replaces only what stands behind the last sign that it breaks a word at."""

    source_template = _BASH

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """What may stand in place of the word's last part."""
        kept = incomplete[: 1 + max((incomplete.rfind(sign) for sign in self.breaks), default=-1)]
        found = super().get_completions(args, incomplete)
        for item in found:
            item.value = item.value.removeprefix(kept)
        return found


class Zsh(_Whole, ZshComplete):
    """Zsh keeps words whole."""

    source_template = _ZSH


class Fish(_Whole, FishComplete):
    """Fish keeps words whole."""

    source_template = _FISH


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def rejoined(words: list[str], breaks: set[str]) -> list[str]:
    """Words that were broken at some signs, put together again.

    >>> rejoined(["attempt", "paper", "=", "tr"], set("=:"))
    ['attempt', 'paper=tr']
    """
    whole: list[str] = []
    follows = False
    for word in words:
        is_break = bool(word) and set(word) <= breaks
        if whole and word and (is_break or follows):
            whole[-1] += word
        else:
            whole.append(word)
        follows = is_break
    return whole


def script(shell: str) -> str:
    """What the shell has to source."""
    return _speaking(shell).source()


def answer(instruction: str) -> int:
    """Print what may come next; whatever fails, nothing is offered, since a traceback would land on a command line.

    Args:
        instruction: What the shell's script says, such as `bash_complete`.

    Returns:
        The exit code.
    """
    shell, _, wish = instruction.partition("_")
    if shell not in SHELLS or wish not in ("complete", "source"):
        return 1
    if wish == "source":
        echo(script(shell), nl=False)
        return 0
    try:
        echo(_speaking(shell).complete())
    except (OSError, LookupError, ValueError, ReproofError, click.ClickException):
        return 1
    return 0


def _speaking(shell: str) -> ShellComplete:
    return SHELLS[shell](reproof, {}, PROGRAM, COMPLETE)
