import helpers  # noqa: F401  first, so that ttnn starts quietly
