// Command lease takes one lease from argospool and prints its URL: lease ADDRESS USERID [SECONDS].
//
// The proto names no Go package, so protoc is told one. Once, from the root of the repository, with protoc-gen-go and
// protoc-gen-go-grpc; after it `go mod init example.com/argospool-lease && go mod tidy` in this directory:
//
//	M=argospool/v1; P=example.com/argospool-lease/argospool
//	OPTIONS="M$M/liveform.proto=$P,M$M/token_pool.proto=$P,module=example.com/argospool-lease"
//	protoc -Iproto --go_out="$OPTIONS:deploy/clients/go" --go-grpc_out="$OPTIONS:deploy/clients/go" \
//	  proto/$M/liveform.proto proto/$M/token_pool.proto
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"example.com/argospool-lease/argospool"
)

// connect uses Dial and WithInsecure because every release of grpc-go 1 has them, also that of Debian 12;
// since 1.63 they are called NewClient and WithTransportCredentials(insecure.NewCredentials()).
func connect(address string) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{grpc.WithInsecure()}
	if strings.HasPrefix(address, "unix:") {
		options = append(options, grpc.WithAuthority("localhost"))
	}
	return grpc.Dial(address, options...)
}

// createLease takes one lease before the context ends, however often it must be asked for.
func createLease(ctx context.Context, pool argospool.TokenPoolServiceClient, params *argospool.LiveformParams) (*argospool.Lease, error) {
	// Drawn once: the repeat of a call whose answer was lost is given the same lease.
	request := &argospool.CreateLeaseRequest{RequestId: newRequestID(), Params: params}
	deadline, bounded := ctx.Deadline()
	for backoff := 100 * time.Millisecond; ; backoff *= 2 {
		answer, err := pool.CreateLease(ctx, request)
		if err == nil {
			return answer.Lease, nil
		}
		pause, again := pauseAfter(err, backoff)
		if !again || bounded && time.Now().Add(pause).After(deadline) {
			return nil, err
		}
		time.Sleep(pause)
		if backoff > time.Second {
			backoff = time.Second
		}
	}
}

// pauseAfter says after how long it is worth asking again, and whether it ever is.
func pauseAfter(err error, backoff time.Duration) (time.Duration, bool) {
	reason, delay := details(err)
	if delay != nil {
		return *delay, true
	}
	lost := false
	switch status.Code(err) {
	case codes.Unavailable, codes.Unknown, codes.Internal, codes.Canceled:
		lost = reason == ""
	}
	jittered := backoff/2 + time.Duration(mathrand.Int63n(int64(backoff/2)))
	return jittered, lost || reason == "COMMIT_DOUBTFUL"
}

// details are the reason and the delay that the daemon put into a refusal; empty and nil for what it did not say.
func details(err error) (reason string, delay *time.Duration) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.RetryInfo:
			span := time.Duration(detail.RetryDelay.GetSeconds())*time.Second + time.Duration(detail.RetryDelay.GetNanos())
			delay = &span
		}
	}
	return reason, delay
}

func newRequestID() string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		reason, _ := details(err)
		if reason == "" {
			reason = err.Error()
		}
		fmt.Fprintln(os.Stderr, "no lease:", status.Code(err), reason)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("usage: lease ADDRESS USERID [SECONDS]")
	}
	seconds := 10.0
	if len(arguments) > 2 {
		parsed, err := strconv.ParseFloat(arguments[2], 64)
		if err != nil {
			return err
		}
		seconds = parsed
	}
	connection, err := connect(arguments[0])
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
	defer cancel()
	if file := os.Getenv("ARGOSPOOL_TOKEN_FILE"); file != "" {
		token, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	lease, err := createLease(ctx, argospool.NewTokenPoolServiceClient(connection), &argospool.LiveformParams{Userid: arguments[1]})
	if err != nil {
		return err
	}
	fmt.Println(lease.Url)
	return nil
}
