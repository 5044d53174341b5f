// Package tls describes the Terraform provider to the bridge, as the published pulumi-tls does.
package tls

import (
	"github.com/hashicorp/terraform-provider-tls/shim"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	bridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
)

// Version is set when the program is linked.
var Version string

// Provider maps the Terraform provider's names to those of the pulumi-tls wheel.
func Provider() bridge.ProviderInfo {
	info := bridge.ProviderInfo{
		P:                              tfbridge.ShimProvider(shim.New()),
		Name:                           "tls",
		GitHubOrg:                      "hashicorp",
		Version:                        Version,
		MetadataInfo:                   bridge.NewProviderMetadata([]byte("{}")),
		EnableZeroDefaultSchemaVersion: true,
		EnableAccurateBridgePreview:    true,
	}
	info.MustComputeTokens(tokens.SingleModule("tls_", "index", tokens.MakeStandard("tls")))
	return info
}
