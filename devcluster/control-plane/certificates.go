package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is long enough for a development cluster that somebody forgot about, and short for anything else.
const lifetime = 365 * 24 * time.Hour

// writeCertificates fills a directory with everything that the cluster signs with:
//
//	ca.crt, ca.key                            the cluster's own authority
//	apiserver.crt, apiserver.key              for 127.0.0.1 and the names that pods use
//	kubelet.crt, kubelet.key                  for the log servers of the nodes
//	service-account.key, service-account.pub  for the tokens of ServiceAccounts
//
// It is part of this program because Python's standard library cannot sign, and openssl may be missing. The keys are
// elliptic ones: they take a millisecond where RSA takes up to a second.
func writeCertificates() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: certificates DIRECTORY")
		os.Exit(2)
	}
	if err := certificatesInto(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "certificates into %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func certificatesInto(directory string) error {
	authority := template(1, "rung-devcluster-ca")
	authority.IsCA = true
	authority.BasicConstraintsValid = true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	authorityKey, err := sign(directory, "ca", authority, authority, nil)
	if err != nil {
		return err
	}

	apiserver := template(2, "kube-apiserver")
	apiserver.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	apiserver.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if _, err := sign(directory, "apiserver", apiserver, authority, authorityKey); err != nil {
		return err
	}

	kubelet := template(3, "kubelet")
	kubelet.DNSNames = []string{"kubelet"}
	if _, err := sign(directory, "kubelet", kubelet, authority, authorityKey); err != nil {
		return err
	}

	key, err := newKey(directory, "service-account")
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writePEM(directory, "service-account.pub", "PUBLIC KEY", public)
}

// template is a server certificate without names; a minute of the past forgives clocks that disagree.
func template(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// sign writes NAME.key and NAME.crt; without an authority's key the certificate signs itself.
func sign(directory, name string, certificate, authority *x509.Certificate, authorityKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := newKey(directory, name)
	if err != nil {
		return nil, err
	}
	if authorityKey == nil {
		authorityKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, &key.PublicKey, authorityKey)
	if err != nil {
		return nil, err
	}
	return key, writePEM(directory, name+".crt", "CERTIFICATE", der)
}

func newKey(directory, name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(directory, name+".key", "EC PRIVATE KEY", der)
}

func writePEM(directory, name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(directory, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
