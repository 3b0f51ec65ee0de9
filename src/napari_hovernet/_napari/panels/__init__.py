"""The dock "HoVer-Net" and its tabs."""
