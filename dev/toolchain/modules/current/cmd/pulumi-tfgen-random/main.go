// Command pulumi-tfgen-random writes the schema of the Pulumi provider.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"
	"private-registry/toolchain/random"
)

func main() { tfgen.Main("random", random.Provider()) }
