package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/redis-medic/redis-medic/controlapi/authn"
)

// minPassword is NIST SP 800-63B's least length of a password that a person chooses.
const minPassword = 8

// hashPassword reads a password, twice and unseen from a terminal, or one line from a pipe, and prints its hash.
func hashPassword(_ context.Context, c console, args []string) error {
	if err := parse(newFlags(c, "hash-password", ""), args, 0); err != nil {
		return err
	}
	password, err := readPassword(c)
	if err != nil {
		return err
	}
	if len(password) < minPassword {
		return fmt.Errorf("the password must have %d characters or more", minPassword)
	}
	hash, err := authn.HashPassword(password)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, hash)
	return nil
}

func readPassword(c console) (string, error) {
	file, isFile := c.in.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(c.in, authn.MaxPasswordLength+2)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	fmt.Fprint(c.err, "Password: ")
	first, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprint(c.err, "\nAgain:    ")
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	second, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(c.err)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if string(first) != string(second) {
		return "", errors.New("the two passwords differ")
	}
	return string(first), nil
}
