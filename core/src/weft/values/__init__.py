"""What travels between the rooms of weft: frozen data without behaviour of its own."""
