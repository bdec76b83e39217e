package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

// advice says what to do about what a server answers. The first word that the answer contains counts: servers
// before 7 wrap the error of a command in a script into one of their own.
var advice = []struct{ word, todo string }{
	{"x509: ", "the certificate does not verify; see caFile and serverName"},
	{"tls: ", "TLS failed; see that the server has it, and caFile"},
	{"WRONGPASS", "the user name or the password is wrong; see username and passwordFile"},
	{"NOAUTH", "the server wants a password; set passwordFile, and username where it has ACL users"},
	{"without any password configured", "the server has no password for this user; remove passwordFile or set one there"},
	{"NOPERM", "the ACL user may not do this; see the key patterns and commands that the package comment lists"},
	{"ERR ACL failure", "the ACL user may not do all of this; see the commands that the package comment lists"},
	{"OOM", "the server's memory is full; raise maxmemory, and keep maxmemory-policy noeviction"},
	{"MISCONF", "the server cannot save to its disk; see its log"},
	{"READONLY", "this server is a replica; set the address of the primary"},
	{"TRYAGAIN", "the Cluster is moving this slot key by key; this passes"},
	{"ASK ", "the Cluster is moving this slot; this passes"},
	{"MOVED", "the server belongs to a Cluster, or the Cluster's nodes disagree; name its nodes under cluster, not address"},
	{"CLUSTERDOWN", "a part of the Cluster has no primary; see CLUSTER INFO"},
	{"MASTERDOWN", "the server has lost its primary; this passes when another is elected"},
	{"NOREPLICAS", "the server has fewer replicas than min-replicas-to-write asks for; see that they run"},
	{"all sentinels", "no Sentinel names a primary; see sentinels and master, and that they run"},
	{"LOADING", "the server is still reading its data; this passes"},
	{"BUSY", "a script of somebody else blocks the server"},
	{"unknown command", "the server is too old; use Redis 6.2 or newer, 7.2 or Valkey with waitAOF"},
	{"WAITAOF cannot be used", "waitAOF needs appendonly yes on the server; set that, or waitAOF: 0"},
}

// explain turns what the library or the server answered into a sentence that says where it happened and what to do.
func (s *Store) explain(err error) error {
	var netErr net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.ErrClosed):
		return errClosed
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(err.Error(), "WRONGTYPE"):
		return fmt.Errorf("redis at %s: a key below tg: has a type that tiergate did not write (%w): %w",
			s.where, err, signals.ErrCorrupt)
	}
	for _, a := range advice {
		if strings.Contains(err.Error(), a.word) {
			return fmt.Errorf("redis at %s: %s (%w)", s.where, a.todo, err)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("redis at %s did not answer in time; see its load and the network (%w)", s.where, err)
	case errors.As(err, &netErr):
		return fmt.Errorf("redis at %s cannot be reached; see that it runs and that the address is right (%w)",
			s.where, err)
	}
	return fmt.Errorf("redis at %s: %w", s.where, err)
}

// timedOut says whether a smaller question might have been answered.
func timedOut(ctx context.Context, err error) bool {
	var netErr net.Error
	return ctx.Err() == nil && errors.As(err, &netErr) && netErr.Timeout()
}

// execute runs a pipeline and returns what befell it as a whole; what the server answered to a single command is
// that command's own error. The library leaves every command without an error, and with a zero result, when a new
// connection is refused by the server (a wrong password): without this, a refusal would read as an empty store.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	var answered redis.Error
	if err == nil || !errors.As(err, &answered) {
		return err
	}
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			return nil
		}
	}
	return err
}
