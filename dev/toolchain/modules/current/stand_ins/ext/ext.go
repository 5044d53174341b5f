// Package ext is where another edition of traefik extends the configuration; this one does not.
package ext

// HTTP adds nothing to the HTTP configuration.
type HTTP struct{}

// Router adds nothing to a router.
type Router struct{}
