"""What product people ask of a service, counted beside the viewers: by hour, plan, stream and type of device."""
