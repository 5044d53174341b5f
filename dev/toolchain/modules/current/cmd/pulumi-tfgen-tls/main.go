// Command pulumi-tfgen-tls writes the schema of the Pulumi provider.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"
	"private-registry/toolchain/tls"
)

func main() { tfgen.Main("tls", tls.Provider()) }
