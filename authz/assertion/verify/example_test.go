package verify_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/tiergate/tiergate/authz/assertion/verify"
)

// An application lets nobody in whom its gateway did not, and knows who calls.
func ExampleVerifier() {
	v, err := verify.New(verify.Options{
		Issuer: "https://gateway.acme.example", Audience: "payroll",
		JWKSURL: "http://127.0.0.1:9464/.well-known/jwks.json",
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = v.Run(ctx) }() // keeps the keys at hand
	defer cancel()
	handler := v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := verify.FromContext(r.Context())
		fmt.Fprintf(w, "Good day, %s, on device %s.\n", caller.Subject, caller.Tiergate.Device)
	}))
	_ = handler // http.Serve(listener, handler)
	_, err = v.Verify("forged")
	fmt.Println(err)
	// Output: the assertion does not count: it is no JWT of three parts
}
