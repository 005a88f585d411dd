"""What single verbs of the command line do. No stage imports it; ``tasks`` measures by it too."""
