"""The development cluster: a Pulumi engine and a two-node Kubernetes on one Linux machine. See `dev/README.md`."""
