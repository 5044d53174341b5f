// Prints the error of Go's TLS clients for each line on standard input: a chain, its key, roots and hosts in JSON.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
)

type testCase struct {
	Chain, Key, Roots string
	Hosts             []string
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
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
