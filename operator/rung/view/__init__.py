"""How a study is shown to people: on a terminal, and as plain lines where there is none."""
