"""Plain, slow statements of what the engine must compute. They share no code with `monitor/`."""
