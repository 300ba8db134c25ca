# What a terminal in JupyterLab starts with: one's own settings, then the project's name and its Python.
[ -f ~/.bashrc ] && . ~/.bashrc
PS1='Video on the Mesh \W\$ '
PROMPT_COMMAND='printf "\033]0;Video on the Mesh\007"'
PATH=$VIDEO_ON_THE_MESH/.venv/bin:$PATH
