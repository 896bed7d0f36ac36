package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

// replyPrefixes maps the first words of an error reply to its class, longest match first where one is a prefix of another.
// They are the words of Redis 2.8 to 8 and Valkey; the order only matters between entries that share a beginning.
var replyPrefixes = []struct {
	prefix string
	reply  Reply
}{
	{"LOADING", ReplyLoading},
	{"BUSY ", ReplyBusy}, // not BUSYKEY or BUSYGROUP
	{"MISCONF", ReplyMisconf},
	{"MASTERDOWN", ReplyMasterDown},
	{"NOAUTH", ReplyNoAuth},
	{"WRONGPASS", ReplyNoAuth},
	{"ERR invalid password", ReplyNoAuth},
	{"ERR operation not permitted", ReplyNoAuth}, // before Redis 2.8
	{"NOPERM", ReplyNoPerm},
	{"DENIED", ReplyNoPerm}, // protected mode: this address may not talk to it
	{"ERR max number of clients", ReplyMaxClients},
}

// ClassifyReply names the class of the answer to a PING. line is the answer without its RESP type byte; a leading "-" or "+" is
// tolerated. Whatever is not known is ReplyProtocol: something answered, but not as Redis does.
func ClassifyReply(line string) Reply {
	line = strings.TrimLeft(line, "-+")
	if line == "PONG" {
		return ReplyPong
	}
	for _, p := range replyPrefixes {
		if strings.HasPrefix(line, p.prefix) {
			return p.reply
		}
	}
	return ReplyProtocol
}

// ClassifyError names the class of a failure to get any answer. A connection that the other side closed without a word is
// ReplyUnreachable, not ReplyRefused: a process accepted and closed it (a proxy, a TLS port, a Redis that just exits), so it is
// no evidence that nothing listens. nil gives NoReplyYet.
func ClassifyError(err error) Reply {
	if err == nil {
		return NoReplyYet
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return ReplyDNS
	case isTLS(err):
		return ReplyTLS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return ReplyRefused // ENOENT: the unix socket is gone
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return ReplyTimeout
	}
	return ReplyUnreachable
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
		verify *tls.CertificateVerificationError
		host   x509.HostnameError
		ca     x509.UnknownAuthorityError
		cert   x509.CertificateInvalidError
	)
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) || errors.As(err, &host) ||
		errors.As(err, &ca) || errors.As(err, &cert)
}
