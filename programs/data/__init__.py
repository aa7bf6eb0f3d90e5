"""What the programs are trained on: data that installed packages bring along."""
