// Command pulumi-resource-random is the Pulumi provider. pulumi-tfgen-random writes schema.json before the build.
package main

import (
	"context"
	_ "embed"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"private-registry/toolchain/random"
)

//go:embed schema.json
var schema []byte

func main() {
	tfbridge.Main(context.Background(), "random", random.Provider(), tfbridge.ProviderMetadata{PackageSchema: schema})
}
