"""What `nightshift demo` plays the outside world with: loopback servers only, gone when the demo ends."""
