"""Topics: source, sink, and the clients under them."""
