"""The guide on a live cluster: real engine, real API server and kubelets, a real Docker engine as the client."""
