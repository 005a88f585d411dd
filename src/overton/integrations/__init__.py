"""One reward, thin adapters: the only rooms that know a framework's call shape."""
