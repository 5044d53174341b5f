// Package v2 replaces the package of the Pulumi SDK for Kubernetes that imports the types of every kind. They take
// minutes to compile, and only components that render charts and YAML files inside the provider need them.
package v2

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegisterResource returns an error, because this build of the provider has no components.
func RegisterResource(
	_ *pulumi.Context, apiVersion, kind, name string, _ pulumi.Input, _ ...pulumi.ResourceOption,
) (pulumi.CustomResource, error) {
	return nil, fmt.Errorf("this build of the provider cannot register %s/%s %s from a component", apiVersion, kind, name)
}
