package agent

import (
	"context"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// FetchJWTSVID signs a JWT-SVID for each identity of the caller, or for the one that is asked for.
func (w *workloadAPI) FetchJWTSVID(ctx context.Context, r *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	if len(r.GetAudience()) == 0 || slices.Contains(r.GetAudience(), "") {
		return nil, status.Error(codes.InvalidArgument, "audience must be specified")
	}
	v, err := w.agent.viewOf(ctx)
	if err != nil {
		return nil, err
	}
	response := &workload.JWTSVIDResponse{}
	for _, svid := range v.svids {
		if r.GetSpiffeId() != "" && r.GetSpiffeId() != svid.id.String() {
			continue
		}
		token, err := w.agent.state.signToken(svid.id, r.GetAudience(), w.agent.options.JWTTTL)
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		response.Svids = append(response.Svids, &workload.JWTSVID{SpiffeId: svid.id.String(), Svid: token})
	}
	if len(response.GetSvids()) == 0 {
		return nil, status.Errorf(codes.PermissionDenied, "no identity issued: %q is not the caller's", r.GetSpiffeId())
	}
	return response, nil
}

// ValidateJWTSVID judges a token for a caller who cannot.
func (w *workloadAPI) ValidateJWTSVID(ctx context.Context, r *workload.ValidateJWTSVIDRequest) (*workload.ValidateJWTSVIDResponse, error) {
	if r.GetAudience() == "" || r.GetSvid() == "" {
		return nil, status.Error(codes.InvalidArgument, "audience and svid must be specified")
	}
	v, err := w.agent.viewOf(ctx)
	if err != nil {
		return nil, err
	}
	bundles, err := v.tokenBundles()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	svid, err := jwtsvid.ParseAndValidate(r.GetSvid(), bundles, []string{r.GetAudience()})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	claims, err := structpb.NewStruct(svid.Claims)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &workload.ValidateJWTSVIDResponse{SpiffeId: svid.ID.String(), Claims: claims}, nil
}

func (v view) tokenBundles() (*jwtbundle.Set, error) {
	set := jwtbundle.NewSet()
	for _, domain := range v.domainNames() {
		bundle := jwtbundle.New(domain)
		for _, key := range v.tokenKeys(domain) {
			if err := bundle.AddJWTAuthority(key.KeyID, key.Key); err != nil {
				return nil, err
			}
		}
		set.Add(bundle)
	}
	return set, nil
}
