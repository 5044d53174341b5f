// Command pulumi-resource-tls is the Pulumi provider. pulumi-tfgen-tls writes schema.json before the build.
package main

import (
	"context"
	_ "embed"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"private-registry/toolchain/tls"
)

//go:embed schema.json
var schema []byte

func main() {
	tfbridge.Main(context.Background(), "tls", tls.Provider(), tfbridge.ProviderMetadata{PackageSchema: schema})
}
