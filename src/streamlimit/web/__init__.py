"""HTTP: the front door, the viewer's hot path, the control plane."""
