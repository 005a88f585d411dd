"""What single verbs of the command line do; nothing else imports it."""
