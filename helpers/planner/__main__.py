"""python -m helpers.planner: what others have measured on chips, and what the planner predicts for it."""

from helpers.planner.cases import table

print(table())
