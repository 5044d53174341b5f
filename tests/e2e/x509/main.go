// Says of each line on standard input, a chain, its roots and hosts in JSON, what Go's clients find wrong with it.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
)

type question struct {
	Chain, Key, Roots string
	Hosts             []string
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var asked question
		err := json.Unmarshal(lines.Bytes(), &asked)
		if err == nil {
			err = verify(asked)
		}
		answer := ""
		if err != nil {
			answer = err.Error()
		}
		quoted, _ := json.Marshal(answer)
		fmt.Println(string(quoted))
	}
}

func verify(asked question) error {
	pair, err := tls.X509KeyPair([]byte(asked.Chain), []byte(asked.Key))
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(asked.Roots)) {
		return fmt.Errorf("no root can be read")
	}
	for _, der := range pair.Certificate[1:] {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(above)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	for _, host := range asked.Hosts {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host}); err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
	}
	return nil
}
