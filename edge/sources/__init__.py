"""Where samples come from: recorded files and the virtual sensor. Everything past a source is in SI units."""
