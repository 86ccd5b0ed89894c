"""Pictures of what in an image moved a network's answer."""
