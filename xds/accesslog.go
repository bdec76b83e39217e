package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// accessLogFields name what one line of the access log says. The path is written without its query, which may hold
// secrets. "authz" is the dynamic metadata that came with the decision.
var accessLogFields = map[string]string{
	"time":      "%START_TIME%",
	"method":    "%REQ(:METHOD)%",
	"authority": "%REQ(:AUTHORITY)%",
	"path":      "%PATH(NQ)%",
	"protocol":  "%PROTOCOL%",
	"status":    "%RESPONSE_CODE%",
	"details":   "%RESPONSE_CODE_DETAILS%",
	"flags":     "%RESPONSE_FLAGS%",
	"millis":    "%DURATION%",
	"route":     "%ROUTE_NAME%",
	"cluster":   "%UPSTREAM_CLUSTER_RAW%",
	"upstream":  "%UPSTREAM_HOST%",
	"client":    "%DOWNSTREAM_REMOTE_ADDRESS%",
	"peer":      "%DOWNSTREAM_PEER_URI_SAN%",
	"request":   "%REQ(X-REQUEST-ID)%",
	"authz":     "%DYNAMIC_METADATA(" + authzFilter + ")%",
}

func (b *builder) accessLog() []*accesslogv3.AccessLog {
	if b.in.Settings.AccessLog == "" {
		return nil
	}
	fields := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for name, operator := range accessLogFields {
		fields.Fields[name] = structpb.NewStringValue(operator)
	}
	return []*accesslogv3.AccessLog{{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&filev3.FileAccessLog{
			Path: b.in.Settings.AccessLog,
			AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: fields},
			}},
		})},
	}}
}
