package main

import (
	"net"
	"os"

	"github.com/rs/zerolog"
)

// notify tells systemd how we are (sd_notify(3)); without systemd it does nothing.
func notify(log zerolog.Logger, state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		log.Warn().Err(err).Msg("tell systemd")
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		log.Warn().Err(err).Msg("tell systemd")
	}
}
