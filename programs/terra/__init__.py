"""The ten programs that Terra (Kim et al., NeurIPS 2021) is measured on."""
