// Command x509 verifies server certificates as Go's TLS clients do.
//
// Each line of standard input is a case in JSON. For each case it prints the error as a JSON string, or "".
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
)

const maxLineBytes = 16 << 20

// testCase is a server's chain and key, the CAs that the client trusts, all in PEM, and the hosts that it connects to.
type testCase struct {
	Chain, Key, Roots string
	Hosts             []string
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var input testCase
		err := json.Unmarshal(lines.Bytes(), &input)
		if err == nil {
			err = verify(input)
		}
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		quoted, _ := json.Marshal(problem)
		fmt.Println(string(quoted))
	}
}

// verify returns the first error of loading the key pair as a server, or of verifying the chain for a host.
func verify(input testCase) error {
	pair, err := tls.X509KeyPair([]byte(input.Chain), []byte(input.Key))
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(input.Roots)) {
		return fmt.Errorf("roots cannot be parsed")
	}
	for _, der := range pair.Certificate[1:] {
		intermediate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		intermediates.AddCert(intermediate)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	for _, host := range input.Hosts {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: host}); err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
	}
	return nil
}
