"""A cluster of network namespaces: hosts with addresses of their own, and a provider of nodes."""
