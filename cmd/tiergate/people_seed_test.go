package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// seedPeople is the command `seed-people` of transcripts: it writes a server's certificate, and certificates of cho and of
// dee, who is of a foreign CA.
func seedPeople() {
	if err := writePeople(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writePeople() error {
	for name, of := range map[string]func(*devca.CA) (*devca.Pair, error){
		"server": func(ca *devca.CA) (*devca.Pair, error) { return ca.Server(time.Hour, "127.0.0.1") },
		"cho":    func(ca *devca.CA) (*devca.Pair, error) { return ca.Person("cho@acme.example", time.Hour) },
		"dee":    func(ca *devca.CA) (*devca.Pair, error) { return ca.Person("dee@acme.example", time.Hour) },
	} {
		ca, err := devca.New(name)
		if err != nil {
			return err
		}
		pair, err := of(ca)
		if err != nil {
			return err
		}
		if err := pair.WriteFiles(name+".pem", name+".key"); err != nil {
			return err
		}
		if err := os.WriteFile(name+"-ca.pem", ca.PEM(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
