// A registry that this program deploys itself, through the Automation API. It needs the engine, but no language host.
//
//	go run .            # deploys
//	go run . destroy
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"

	"git.example.com/platform/private-registry/sdk/go/privateregistry"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func createRegistry(ctx *pulumi.Context) error {
	registry, err := privateregistry.NewPrivateRegistry(ctx, "go", &privateregistry.PrivateRegistryArgs{
		Hostname:       pulumi.String("go.registry.example.com"),
		Port:           new(5006),
		Namespace:      new("registry-from-go"),
		StoragePath:    pulumi.String("/var/lib/registry-from-go"),
		StorageSize:    pulumi.String("1Gi"),
		CertificateKey: new(privateregistry.CertificateKeyP384),
		Robots: map[string]privateregistry.RobotArgs{
			"ci": {Repositories: []string{"team/*"}, Rights: []privateregistry.AccessRight{privateregistry.AccessRightPush}},
		},
	})
	if err != nil {
		return err
	}
	ctx.Export("endpoint", registry.Endpoint)
	ctx.Export("caPem", registry.CaPem)
	ctx.Export("username", registry.Username)
	ctx.Export("password", registry.Password)
	ctx.Export("namespace", registry.Namespace)
	return nil
}

func run(ctx context.Context, destroy bool) error {
	stack, err := auto.UpsertStackInlineSource(ctx, "dev", "registry-from-go", createRegistry, auto.WorkDir("."))
	if err != nil {
		return err
	}
	if destroy {
		_, err = stack.Destroy(ctx, optdestroy.ProgressStreams(os.Stdout))
		return err
	}
	up, err := stack.Up(ctx, optup.ProgressStreams(os.Stdout))
	if err != nil {
		return err
	}
	fmt.Printf("docker login %v --username %v\n", up.Outputs["endpoint"].Value, up.Outputs["username"].Value)
	return nil
}

func main() {
	if err := run(context.Background(), slices.Contains(os.Args, "destroy")); err != nil {
		log.Fatal(err)
	}
}
