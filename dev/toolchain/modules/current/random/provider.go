// Package random describes the Terraform provider to the bridge, as the published pulumi-random does.
package random

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	bridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	"github.com/terraform-providers/terraform-provider-random/shim"
)

// Version is set when the program is linked.
var Version string

// Provider maps the Terraform provider's names to those of the pulumi-random wheel.
func Provider() bridge.ProviderInfo {
	info := bridge.ProviderInfo{
		P:            tfbridge.ShimProvider(shim.New()),
		Name:         "random",
		Version:      Version,
		MetadataInfo: bridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*bridge.ResourceInfo{
			"random_bytes": {ComputeID: bridge.DelegateIDField("base64", "random", "")},
		},
		EnableAccurateBridgePreview: true,
		EnableRawStateDelta:         true,
	}
	info.MustComputeTokens(tokens.SingleModule("random_", "index", func(m, n string) (string, error) {
		return tokens.MakeStandard("random")(m, "Random"+n)
	}))
	return info
}
