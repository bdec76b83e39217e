package xds

import "fmt"

// CheckVersion refuses a version of Envoy ("1.40.0") below MinVersion and below asked, which may be "" for none.
func CheckVersion(text, asked string) error {
	least := lowest(asked)
	v, err := parseVersion(text)
	if err != nil {
		return err
	}
	if v.below(least) {
		return fmt.Errorf("it is Envoy %s, and %s is the lowest that is programmed; upgrade Envoy", v, least)
	}
	return nil
}
