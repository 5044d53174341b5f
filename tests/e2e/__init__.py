"""End-to-end tests on embedded clusters: real engine, API server, kubelets, and a real Docker engine as the client."""
