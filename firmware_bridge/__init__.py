"""What is on the air: packets, decoders, device clocks and the virtual foot sensor. numpy only; no I/O."""
