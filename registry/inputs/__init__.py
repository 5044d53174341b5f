"""The inputs of the component: their types, their rules, and the way from inputs to settings."""
