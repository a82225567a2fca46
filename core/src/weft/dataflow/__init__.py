"""How a task travels: the graph, the lifecycle, the futures, and the one thread that owns them."""
