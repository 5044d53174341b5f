// Command gen-sdk writes the SDK of a component for a language: `gen-sdk LANGUAGE SCHEMA FOLDER`.
//
// `pulumi package gen-sdk` would ask a language host for it. The hosts of Node.js and Go are not published as modules,
// but their generators are.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"

	dotnet "github.com/pulumi/pulumi-dotnet/pulumi-language-dotnet/v3/codegen"
	"github.com/pulumi/pulumi-java/pkg/codegen/java"
	golang "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "gen-sdk"

type files = map[string][]byte

// generators has the arguments that `pulumi package add` gives the language hosts.
var generators = map[string]func(*schema.Package) (files, error){
	"dotnet": func(pkg *schema.Package) (files, error) {
		return dotnet.GeneratePackage(tool, pkg, nil, nil)
	},
	"go": func(pkg *schema.Package) (files, error) {
		return golang.GeneratePackage(tool, pkg, nil)
	},
	"java": func(pkg *schema.Package) (files, error) {
		return java.GeneratePackage(tool, pkg, nil, nil, true, false)
	},
	"nodejs": func(pkg *schema.Package) (files, error) {
		return nodejs.GeneratePackage(tool, pkg, nil, nil, true, nil)
	},
}

// logo answers every HTTP request with a picture. The generator of .NET would download one, also without a network.
type logo struct{}

func (logo) RoundTrip(*http.Request) (*http.Response, error) {
	var picture bytes.Buffer
	err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 1, 1)))
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&picture)}, err
}

func main() {
	log.SetFlags(0)
	http.DefaultClient.Transport = logo{}
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) != 3 || generators[args[0]] == nil {
		return fmt.Errorf("usage: gen-sdk dotnet|go|java|nodejs SCHEMA FOLDER")
	}
	pkg, err := read(args[1])
	if err != nil {
		return err
	}
	generated, err := generators[args[0]](pkg)
	if err != nil {
		return err
	}
	for name, content := range generated {
		path := filepath.Join(args[2], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read returns the package of a schema, which uses no types of other packages.
func read(path string) (*schema.Package, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	pkg, diagnostics, err := schema.BindSpec(spec, schema.NewNullLoader(), schema.ValidationOptions{})
	if err != nil {
		return nil, err
	}
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	pkg.SupportPack = true
	return pkg, nil
}
