# labrunner's part of the lab shell. Sets markers (see osc.py) that say where commands begin and end.
#   B            a block begins        C;text            a typed command begins
#   P;status;n;cwd  a command ended; files env.n and state.n hold what it left
#   R;status     the prompt is shown   Q                 the prompt for a continued line is shown
# The lines before this one set __labrunner_dir, __labrunner_nonce and __labrunner_env.
# Everything here must work under set -u, -e, -x and -C, with any IFS, PATH and redirection of the shell.

__labrunner_encode() {
  __labrunner_encoded=${1//%/%25}
  __labrunner_encoded=${__labrunner_encoded//;/%3B}
  __labrunner_encoded=${__labrunner_encoded//$'\e'/%1B}
  __labrunner_encoded=${__labrunner_encoded//$'\a'/%07}
  __labrunner_encoded=${__labrunner_encoded//$'\n'/%0A}
  __labrunner_encoded=${__labrunner_encoded//$'\r'/%0D}
  __labrunner_encoded=${__labrunner_encoded//$'\t'/%09}
}

__labrunner_hook() {
  case "${PROMPT_COMMAND-}" in
    *__labrunner_prompt*) ;;
    *) PROMPT_COMMAND='{ __labrunner_prompt "$?"; } 2>/dev/null'"${PROMPT_COMMAND:+; $PROMPT_COMMAND}" ;;
  esac
}

# Put our hooks (back) in place: a command may have set PROMPT_COMMAND, PS0, PS1 or PS2. Not while readline reads:
# bash then still holds the old PS0 by address.
__labrunner_install() {
  __labrunner_hook
  case "${PS0-}" in
    *__labrunner_start*) ;;
    *) PS0='$({ __labrunner_start; } 2>/dev/null)'"${PS0-}" ;;
  esac
  case "${PS1-}" in
    *"$__labrunner_nonce"*) ;;
    *) PS1="${PS1-}"'\[\e]6973;'"$__labrunner_nonce"';R;$?\a\]' ;;
  esac
  case "${PS2-}" in
    *"$__labrunner_nonce"*) ;;
    *) PS2="${PS2-}"'\[\e]6973;'"$__labrunner_nonce"';Q\a\]' ;;
  esac
}

# Bound to a key that only labrunner sends, at a prompt that came without markers. During `read -e` it does nothing.
__labrunner_repair() {
  case "${PROMPT_COMMAND-}" in
    *__labrunner_prompt*) ;;
    *) __labrunner_report "$?"
       __labrunner_hook
       builtin printf '\e]6973;%s;R;%s\a' "$__labrunner_nonce" "$__labrunner_last" >/dev/tty ;;
  esac
}

# Before each prompt.
__labrunner_prompt() {
  __labrunner_report "$1"
  __labrunner_install
  return "$1"
}

# Say that a command ended. `set -e` at a prompt would end the shell at the next typing mistake: it does not stay.
__labrunner_report() {
  set +e
  __labrunner_last=$1
  __labrunner_pending=
  __labrunner_block=
  if [ "$1" -gt 128 ]; then command stty sane </dev/tty; fi
  __labrunner_n=$(((__labrunner_n + 1) % 16))
  "$__labrunner_env" -0 >|"$__labrunner_dir/env.$__labrunner_n"
  { declare -p; declare -f; alias -p; umask -p; } >|"$__labrunner_dir/state.$__labrunner_n"
  builtin printf '%s' "$__labrunner_n" >|"$__labrunner_dir/last"
  __labrunner_encode "$PWD"
  builtin printf '\e]6973;%s;P;%s;%s;%s\a' "$__labrunner_nonce" "$1" "$__labrunner_n" "$__labrunner_encoded" >/dev/tty
}

# After Enter, in a subshell (PS0): what was typed.
__labrunner_start() {
  if [ -n "${__labrunner_pending-}" ]; then return; fi
  HISTTIMEFORMAT=
  __labrunner_text=$(builtin history 1)
  if [[ $__labrunner_text =~ ^[[:space:]]*[0-9]+[*[:space:]][[:space:]] ]]; then
    __labrunner_text=${__labrunner_text:${#BASH_REMATCH[0]}}
  fi
  __labrunner_encode "${__labrunner_text:0:8192}"
  builtin printf '\e]6973;%s;C;%s\a' "$__labrunner_nonce" "$__labrunner_encoded"
}

# Bound to a key that only labrunner sends: the line becomes the block that waits in the file `block`.
__labrunner_load() {
  IFS= builtin read -r -d '' __labrunner_block <"$__labrunner_dir/block"
  __labrunner_pending=1
  READLINE_LINE='{ __labrunner_begin; } 2>/dev/null; eval "$__labrunner_block"; { __labrunner_end "$?"; } 2>/dev/null'
  READLINE_POINT=${#READLINE_LINE}
}

__labrunner_begin() {
  builtin history -s -- "${__labrunner_block%$'\n'}"
  builtin printf '\e]6973;%s;B\a' "$__labrunner_nonce" >/dev/tty
  return "${__labrunner_last:-0}"
}

__labrunner_end() {
  __labrunner_install
  return "$1"
}

for __labrunner_keymap in emacs vi-insert vi-command; do
  bind -m "$__labrunner_keymap" -x '"\C-x\C-b": __labrunner_load'
  bind -m "$__labrunner_keymap" -x '"\C-x\C-h": __labrunner_repair'
done
unset __labrunner_keymap __labrunner_encoded

HISTFILE=$__labrunner_dir/history
HISTSIZE=2000
HISTCONTROL=
shopt -s checkwinsize histappend cmdhist
PS1='\[\e[36m\]\W\[\e[0m\] $ '
PS2='> '
PS4='+ '
PS0=
PROMPT_COMMAND=
__labrunner_n=0
__labrunner_pending=
__labrunner_last=0
__labrunner_install
