"""Recording a live session: what is written, how it survives a kill, a full disk and damage, and how it is read."""
