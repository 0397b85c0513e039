"""Reports: counts by hour, plan, stream and type of device, made beside the viewers."""
