"""The commands of `device-sim`, one file each."""
