"""What the measurements of the reward's server share."""
