package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// accessLogFields name what is said of one request, in the file and to the service alike. The path is written without its
// query, which may hold secrets. The last seven come with the decision; without one, such as when nobody answered or no route
// was there to ask for, they are null in the file and not sent to the service.
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
	"listener":  "%FILTER_CHAIN_NAME%",
	"route":     "%ROUTE_NAME%",
	"cluster":   "%UPSTREAM_CLUSTER_RAW%",
	"upstream":  "%UPSTREAM_HOST%",
	"client":    "%DOWNSTREAM_REMOTE_ADDRESS%",
	"peer":      "%DOWNSTREAM_PEER_URI_SAN%",
	"request":   "%REQ(X-REQUEST-ID)%",
	"decision":  ofDecision("decision_id"),
	"subject":   ofDecision("subject"),
	"tier":      ofDecision("tier"),
	"outcome":   ofDecision("outcome"),
	"reason":    ofDecision("reason"),
	"policy":    ofDecision("policy"),
	"until":     ofDecision("until"),
}

// ofDecision prints a member of the dynamic metadata that comes with a decision, admitted or refused.
func ofDecision(member string) string {
	return "%DYNAMIC_METADATA(" + authzFilter + ":" + member + ")%"
}

func (b *builder) accessLog() []*accesslogv3.AccessLog {
	var logs []*accesslogv3.AccessLog
	if file := b.in.Settings.AccessLog; file != "" {
		logs = append(logs, b.accessLogger("envoy.access_loggers.file", accessLogFile(file)))
	}
	if b.in.Settings.AccessLogService != nil {
		logs = append(logs, b.accessLogger(accessLogStream, accessLogToService()))
	}
	return logs
}

func (b *builder) accessLogger(name string, config proto.Message) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{
		Name: name, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(config)},
	}
}

func accessLogFile(path string) *filev3.FileAccessLog {
	fields := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for name, operator := range accessLogFields {
		fields.Fields[name] = structpb.NewStringValue(operator)
	}
	return &filev3.FileAccessLog{
		Path: path,
		AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: fields},
		}},
	}
}
